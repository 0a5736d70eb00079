//! `atlas analogues`: molecules from around the latent of one.

use std::collections::HashSet;
use std::path::PathBuf;

use atlas_core::{Draws, Error};
use candle_core::{D, DType, Device, Tensor};
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use crate::chem::{self, Smiles};
use crate::cli::Models;
use crate::cli::drawing::GridFile;
use crate::cli::failure::{Failure, Result};
use crate::cli::model::{for_model, known_molecule};
use crate::cli::output_file::OutputFile;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::text::{count, grouped};
use crate::cli::terminal::values::path_json;
use crate::cli::terminal::{output, progress};
use crate::models::MoleculeAutoencoder;

const EXAMPLES: &str = "\
Examples:
  atlas analogues runs/gru-vae 'CC(=O)Nc1ccc(O)cc1' -n 50
  atlas analogues runs/gru-vae CCOC(=O)c1ccccc1 -n 200 --radius 0.5 -o analogues.csv";

/// Latents that are decoded at a time.
const BATCH: usize = 256;
/// Draws from the prior that tell how far latents spread.
const SPREAD_DRAWS: usize = 2000;
/// The distances, as shares of the spread, that are tried one after the other unless one is given.
const RADII: [f64; 8] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];
/// Batches in which nothing new was found, after which a distance is given up.
const PATIENCE: usize = 8;

/// Find molecules like another
///
/// Draws latents around the molecule's own, from near to far, and decodes each. Keeps what is a valid
/// molecule, another one, and was not found before, until there are enough; writes them by their
/// Tanimoto similarity (Morgan fingerprints) to the molecule, the most similar first.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// SMILES of the molecule
    #[arg(value_name = "SMILES")]
    molecule: String,
    /// Molecules to find
    #[arg(short, long = "number", value_name = "N", default_value_t = 10, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    number: usize,
    /// Standard deviation of the draws around the molecule's latent, as a share of that of the prior
    /// in each dimension [default: from 0.1 to 1, until there are enough]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    radius: Option<f64>,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// CSV file to write: the molecules, their similarity and the radius they were found at; - is
    /// standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draw the molecule and those that are found, with their similarities, as an SVG
    #[arg(long, value_name = "FILE.svg")]
    grid: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share.is_finite() => Ok(share),
        _ => Err("expected a finite number above 0".to_owned()),
    }
}

/// A molecule that was found.
struct Analogue {
    smiles: String,
    similarity: f64,
    radius: f64,
}

pub fn run(args: &Args, models: &Models) -> Result {
    let mut file = args.output.as_deref().map(OutputFile::create).transpose()?;
    let mut grid = GridFile::create(args.grid.as_deref())?;
    let model = models.load(&args.bundle)?;
    let molecule = known_molecule(&*model, &args.molecule)?;
    let (mut found, drawn) = find(&*model, &molecule, args)?;
    if found.is_empty() {
        return Err(Failure::new(format_args!(
            "{} around `{molecule}` gave no other valid molecule",
            count(drawn, "draw")
        )));
    }
    found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    grid.add(molecule.as_str(), "");
    for analogue in &found {
        grid.add(&analogue.smiles, format_args!("{:.3}", analogue.similarity));
    }
    grid.finish()?;
    if found.len() < args.number {
        output::say(&format_args!(
            "{} of {} after {}: a larger --radius finds others",
            grouped(found.len()),
            count(args.number, "molecule"),
            count(drawn, "draw")
        ));
    }
    if let Some(file) = &mut file {
        file.row(["smiles", "similarity", "radius"])?;
        for analogue in &found {
            let (similarity, radius) = (analogue.similarity, analogue.radius);
            file.row([
                &*analogue.smiles,
                &format!("{similarity:.4}"),
                &radius.to_string(),
            ])?;
        }
    }
    let is_written = file.is_some();
    if let Some(file) = file {
        file.finish()?;
    }
    if args.json {
        return output::print_json(&to_json(args, &model.digest()?, &found, drawn));
    }
    if is_written {
        return Ok(());
    }
    output::print(&to_table(&found).render(output::terminal_width()))
}

/// The molecules around one, in the order they were found, and how many latents were drawn.
fn find(
    model: &dyn MoleculeAutoencoder,
    molecule: &Smiles,
    args: &Args,
) -> Result<(Vec<Analogue>, usize)> {
    let own = chem::canonical(molecule.as_str()).map_err(Error::other)?;
    let latent = model.encode(std::slice::from_ref(molecule))?;
    let latent = latent.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    let spread = spread(model, args.seed)?;
    let radii = args.radius.map_or(RADII.to_vec(), |radius| vec![radius]);
    let mut seen = HashSet::from([own]);
    let (mut found, mut drawn) = (Vec::new(), 0);
    let bar = progress::counter(Some(args.number), "molecules");
    for radius in radii {
        let mut failures = 0;
        while found.len() < args.number && failures < PATIENCE {
            let draws = Draws {
                seed: args.seed,
                first: drawn as u64,
            };
            let noise = draws.normal(BATCH, model.latent_size())?;
            let moved = (noise.broadcast_mul(&spread)? * radius)?.broadcast_add(&latent)?;
            let before = found.len();
            for string in model.decode(&for_model(model, &moved)?)? {
                drawn += 1;
                let is_new = |form: &String| seen.insert(form.clone());
                let Some(smiles) = chem::canonical(&string).ok().filter(is_new) else {
                    continue;
                };
                let similarity = chem::similarity(molecule.as_str(), &smiles);
                if let (Ok(similarity), true) = (similarity, found.len() < args.number) {
                    found.push(Analogue {
                        smiles,
                        similarity,
                        radius,
                    });
                }
            }
            failures = if found.len() > before {
                0
            } else {
                failures + 1
            };
            bar.set_position(found.len() as u64);
        }
    }
    Ok((found, drawn))
}

/// The standard deviation of each dimension of the prior, `[latent]`.
fn spread(model: &dyn MoleculeAutoencoder, seed: u64) -> Result<Tensor> {
    let draws = model.prior(Draws { seed, first: 0 }, SPREAD_DRAWS)?;
    let draws = draws.to_dtype(DType::F32)?;
    Ok(draws.t()?.var(D::Minus1)?.sqrt()?)
}

fn to_table(found: &[Analogue]) -> Table {
    let mut table = Table::new(&["similarity", "radius", "SMILES"], [0, 1]);
    for analogue in found {
        table.row([
            format!("{:.3}", analogue.similarity),
            analogue.radius.to_string(),
            analogue.smiles.clone(),
        ]);
    }
    table
}

fn to_json(args: &Args, digest: &str, found: &[Analogue], drawn: usize) -> Value {
    let molecules = found.iter().map(|analogue| {
        json!({
            "smiles": analogue.smiles,
            "similarity": analogue.similarity,
            "radius": analogue.radius,
        })
    });
    json!({
        "bundle": path_json(&args.bundle),
        "digest": digest,
        "molecule": args.molecule,
        "seed": args.seed,
        "drawn": drawn,
        "molecules": molecules.collect::<Vec<_>>(),
    })
}
