//! `atlas neighbours`: the molecules of a file whose latents are nearest to that of one.

use std::path::PathBuf;

use candle_core::{D, DType, Device, Tensor};
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use crate::chem;
use crate::cli::Models;
use crate::cli::failure::Result;
use crate::cli::model::known_molecule;
use crate::cli::molecules::RowArgs;
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::values::path_json;
use crate::cli::terminal::{interrupt, output, progress};
use crate::cli::training_note::TrainedOn;
use crate::data::Record;
use crate::models;

const EXAMPLES: &str = "\
Examples:
  atlas neighbours runs/gru-vae 'CC(=O)Nc1ccc(O)cc1' --among library.smi
  atlas neighbours runs/gru-vae CCO --among library.csv -n 100 -o nearest.csv";

/// Find the molecules of a file that are nearest to another
///
/// Encodes the molecules of a file and writes those whose latents are nearest to the molecule's own, by
/// Euclid's distance, the nearest first; beside each its Tanimoto similarity (Morgan fingerprints).
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// SMILES of the molecule
    #[arg(value_name = "SMILES")]
    molecule: String,
    /// The molecules to look through: SMILES, one a line and optionally followed by a name; a table
    /// (.csv, .tsv); an SDF; each of them also as .gz or .zst; - is standard input
    #[arg(short = 'i', long = "among", visible_aliases = ["data", "input"], value_name = "FILE")]
    among: PathBuf,
    /// Molecules to write
    #[arg(short, long = "number", value_name = "N", default_value_t = 10, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    number: usize,
    #[command(flatten)]
    rows: RowArgs,
    /// CSV file to write; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// A molecule of the file.
struct Neighbour {
    record: Record,
    distance: f32,
    /// `None` if one of the two cannot be examined.
    similarity: Option<f64>,
}

pub fn run(args: &Args, models: &Models) -> Result {
    let mut file = args.output.as_deref().map(OutputFile::create).transpose()?;
    interrupt::watch_for_bars()?;
    let model = models.load(&args.bundle)?;
    let molecule = known_molecule(&*model, &args.molecule)?;
    let trained_on = TrainedOn::of(model.provenance());
    let trained = trained_on.as_ref();
    let trained = trained.map(|known| &known.data.rows.standardise);
    let molecules = args.rows.read(&args.among, trained, &*model)?;
    let bar = progress::counter(Some(molecules.len()), "molecules");
    let latents = models::latents_of(&*model, &molecules, &mut |done| {
        bar.set_position(done as u64);
    })?;
    drop(bar);
    let own = model.encode(std::slice::from_ref(&molecule))?;
    let distances = distances(&latents, &own)?;
    let mut nearest: Vec<usize> = (0..distances.len()).collect();
    // The sort is stable: of equal ones the first of the file comes first.
    nearest.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
    nearest.truncate(args.number);
    let mut wanted = vec![None; distances.len()];
    for (rank, &index) in nearest.iter().enumerate() {
        wanted[index] = Some(rank);
    }
    let mut neighbours = Vec::with_capacity(nearest.len());
    for ((record, rank), &distance) in molecules.records().zip(wanted).zip(&distances) {
        let record = record?;
        if let Some(rank) = rank {
            let similarity = chem::similarity(molecule.as_str(), record.smiles.as_str()).ok();
            let neighbour = Neighbour {
                record,
                distance,
                similarity,
            };
            neighbours.push((rank, neighbour));
        }
    }
    neighbours.sort_by_key(|(rank, _)| *rank);
    let neighbours: Vec<Neighbour> = neighbours.into_iter().map(|(_, found)| found).collect();
    if let Some(mut file) = file.take() {
        file.row(["smiles", "distance", "similarity", "name", "row", "line"])?;
        for neighbour in &neighbours {
            file.row(cells(neighbour))?;
        }
        file.finish()?;
        if !args.json {
            return Ok(());
        }
    }
    if args.json {
        return output::print_json(&to_json(args, &model.digest()?, &neighbours));
    }
    let mut table = Table::new(&["distance", "similarity", "name", "SMILES"], [0, 1]);
    for neighbour in &neighbours {
        let [smiles, distance, similarity, name, ..] = cells(neighbour);
        table.row([distance, similarity, name, smiles]);
    }
    output::print(&table.render(output::terminal_width()))
}

/// Euclid's distance of each latent from `own`, `[1, latent]`.
fn distances(latents: &Tensor, own: &Tensor) -> atlas_core::Result<Vec<f32>> {
    let own = own.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    let squares = latents.broadcast_sub(&own)?.sqr()?.sum(D::Minus1)?;
    Ok(squares.sqrt()?.to_vec1()?)
}

fn cells(neighbour: &Neighbour) -> [String; 6] {
    let Neighbour {
        record,
        distance,
        similarity,
    } = neighbour;
    [
        record.smiles.to_string(),
        format!("{distance:.4}"),
        similarity.map_or(String::new(), |similarity| format!("{similarity:.4}")),
        record.name.clone().unwrap_or_default(),
        record.row.to_string(),
        record.line.to_string(),
    ]
}

fn to_json(args: &Args, digest: &str, neighbours: &[Neighbour]) -> Value {
    let neighbours = neighbours.iter().map(|neighbour| {
        json!({
            "smiles": neighbour.record.smiles.as_str(),
            "name": neighbour.record.name,
            "row": neighbour.record.row,
            "line": neighbour.record.line,
            "distance": neighbour.distance,
            "similarity": neighbour.similarity,
        })
    });
    json!({
        "bundle": path_json(&args.bundle),
        "digest": digest,
        "molecule": args.molecule,
        "neighbours": neighbours.collect::<Vec<_>>(),
    })
}
