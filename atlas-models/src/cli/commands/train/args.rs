//! The options of `atlas train`.

use std::path::PathBuf;

use crate::cli::molecules::RowArgs;
use crate::cli::parameters::ParamArgs;
use crate::data::Column;

const EXAMPLES: &str = "\
Examples:
  atlas train
  atlas train --data zinc.smi --out runs/zinc --max-minutes 30
  atlas train --data zinc.smi --set latent.size=64 --set writer.dropout=0.1 --weight kl=0.1
  atlas train --data zinc.smi --params params.json --epochs 50 --json | jq .held_out.exact_share
  atlas train --data zinc.smi --train-set 'annealing.weights=[\"kl\"]' --train-set schedule=step
  atlas train --data mine.smi --out runs/mine --from runs/zinc
  atlas train --resume --out runs/zinc
  atlas train --resume --out runs/zinc --epochs 40

Parameters are the model's defaults, those of the --from bundle or, without --data, smaller ones that
suit the built-in molecules; then those of the --params file; then those of --set. Unless these say
otherwise, `vocabulary` has the tokens of the data, after those of the --from bundle, and `longest` is
large enough for the data; and with --data and --max-minutes the size of the model, the learning rate
and the number of epochs are what so many minutes can train on this machine. The last line printed is
the bundle's path and how many held-out molecules it reconstructs.

Beside the bundle DIR the folder DIR.run holds metrics.jsonl, with a line for every step and epoch,
curves.svg, which draws them, and the checkpoint. After Ctrl-C, a crash or a kill, the same command with --resume goes on from it
and ends with the very model that it would have ended with. With --epochs or --max-minutes, counted
from the beginning, it goes on to these, also where the run has ended: schedules are then those of the
longer run, so that a learning rate that has fallen rises again. Without a checkpoint --resume is an
error, and --resume=or-start begins a run: a script that is started again and again says that.
A run that has not ended is only replaced with --restart. The exit code after Ctrl-C is 130, after
SIGTERM 143, after SIGHUP 129; a signal that is ignored at the start, as by nohup, stays ignored.
SIGUSR1 makes a checkpoint, and training goes on; with --requeue the exit code is 138.

Several processes train one model, to the bit the same whatever their number, where `mpirun -n 4` or
`srun` starts the command: they share the shards of each batch, `--train-set shards=4`.";

/// Train an autoencoder and save it as a bundle, after every epoch
///
/// Everything that can be checked is checked before training starts, and reported at once. Equal
/// commands without --max-minutes give equal models, to the bit, on one machine, whatever the
/// number of threads; processors with other vector instructions round otherwise.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of the bundle; a bundle that is there is replaced [default: runs/MODEL]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on from the checkpoint in DIR.run, or begin where there is none; flags may be left out,
    /// but --requeue, --tensorboard, --checkpoint-minutes, --memory and --json are not remembered
    #[arg(long, value_name = "or-start", require_equals = true)]
    pub resume: Option<Option<OrStart>>,
    /// Start anew where DIR.run holds a run that has not ended, and lose that run
    #[arg(long, conflicts_with = "resume")]
    pub restart: bool,
    /// Minutes of training between checkpoints; there is one after every epoch, too
    #[arg(
        long,
        value_name = "MINUTES",
        default_value_t = 5.0,
        allow_negative_numbers = true
    )]
    pub checkpoint_minutes: f64,
    /// After the checkpoint that SIGUSR1 asks for, put the job of Slurm back into its queue and exit;
    /// with --resume=or-start one script serves the first start and every requeue
    #[arg(long, requires = "resume")]
    pub requeue: bool,
    /// Write a TensorBoard event file to DIR.run
    #[arg(long)]
    pub tensorboard: bool,
    /// Print a JSON object on one line at the end
    #[arg(long)]
    pub json: bool,
    // Last, since what follows one would come under its heading.
    #[command(flatten, next_help_heading = "Data")]
    pub data: DataArgs,
    #[command(flatten, next_help_heading = "Model")]
    pub model: ModelArgs,
    #[command(flatten, next_help_heading = "Training")]
    pub training: TrainingArgs,
}

/// What `--resume` does where there is nothing to go on from.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum OrStart {
    /// A run begins there.
    OrStart,
}

// A doc comment on these would take the place of the command's own.
#[derive(clap::Args)]
pub struct DataArgs {
    /// Molecules: SMILES, one a line and optionally followed by a name; a table (.csv, .tsv); an
    /// SDF; each of them also as .gz or .zst; - is standard input [default: the built-in molecules]
    #[arg(
        short = 'i',
        long = "data",
        visible_alias = "input",
        value_name = "FILE"
    )]
    pub file: Option<PathBuf>,
    /// Molecules that are kept out of training, to evaluate on; with 0 nothing is evaluated [default:
    /// a tenth, at most 1000]
    #[arg(long, value_name = "N")]
    pub held_out: Option<usize>,
    /// Seed that draws the held-out molecules; the same ones whatever --seed is [default: 0]
    #[arg(long, value_name = "N")]
    pub split_seed: Option<u64>,
    /// Column of numbers above zero: in an epoch each row comes as often as its number is part of
    /// all of them, such as the counts of fragments
    #[arg(long, value_name = "COLUMN")]
    pub weight_column: Option<Column>,
    #[command(flatten)]
    pub rows: RowArgs,
    /// Memory for the texts of molecules; what is beyond it goes to a temporary file in TMPDIR.
    /// Some 48 bytes a molecule come on top [default: 512]
    #[arg(long, value_name = "MIB")]
    pub memory: Option<usize>,
}

#[derive(clap::Args)]
pub struct ModelArgs {
    /// Architecture; `atlas models` lists them [default: gru-vae]
    #[arg(long = "model", value_name = "MODEL")]
    pub name: Option<String>,
    /// Start from the weights of this bundle; with the same architecture its parameters, too, are
    /// taken unless --params or --set say otherwise, and in any case the vocabulary, to which the
    /// other tokens of the data are added
    #[arg(long, value_name = "BUNDLE")]
    pub from: Option<PathBuf>,
    /// Take this network alone from the --from bundle; the others start fresh. Can be repeated
    #[arg(long, value_name = "NETWORK", requires = "from")]
    pub take: Vec<String>,
    #[command(flatten)]
    pub params: ParamArgs,
}

#[derive(clap::Args)]
pub struct TrainingArgs {
    /// How often training goes through all molecules [default: 20, or as --max-minutes allows; 5
    /// for the built-in molecules]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// End training after so many minutes; evaluation and saving do not count. The schedules then
    /// follow the clock, and the model depends on how fast the machine is. With --data a smaller
    /// model than usual is trained where there is time for no larger one [default: none]
    #[arg(long, value_name = "MINUTES", allow_negative_numbers = true)]
    pub max_minutes: Option<f64>,
    /// Molecules in a batch [default: 128; 32 for the built-in molecules]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Highest learning rate, which the schedule reaches after the warm-up [default: 0.001; 0.003
    /// for the built-in molecules and the smaller models of --max-minutes]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// Seed of initial weights, order of molecules and noise [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Set a parameter of training; `atlas params --train` lists them. Can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub train_set: Vec<String>,
    /// Weigh a part of the loss. Can be repeated
    #[arg(long, value_name = "NAME=WEIGHT", value_parser = parse_weight)]
    pub weight: Vec<(String, f64)>,
    /// Leave a network, or a tensor or module of it (`encoder/gru`), as it starts; `atlas inspect
    /// --json` lists them. Can be repeated
    #[arg(long, value_name = "NETWORK")]
    pub freeze: Vec<String>,
}

fn parse_weight(text: &str) -> Result<(String, f64), String> {
    let (name, weight) = text
        .split_once('=')
        .ok_or("expected NAME=WEIGHT, such as kl=0.1")?;
    let weight = weight
        .trim()
        .parse()
        .map_err(|_| format!("`{weight}` is not a number"))?;
    Ok((name.trim().to_owned(), weight))
}
