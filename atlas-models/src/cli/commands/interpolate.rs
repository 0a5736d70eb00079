//! `atlas interpolate`: molecules on the line between two.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use crate::chem::{self, Smiles};
use crate::cli::Models;
use crate::cli::drawing::GridFile;
use crate::cli::failure::{Failure, Result};
use crate::cli::model::{for_model, in_line, known_molecule};
use crate::cli::problems::Problems;
use crate::cli::terminal::output;
use crate::cli::terminal::table::Table;
use crate::cli::terminal::values::path_json;
use crate::models::MoleculeAutoencoder;

const EXAMPLES: &str = "\
Examples:
  atlas interpolate runs/gru-vae CCO CC(=O)Nc1ccc(O)cc1
  atlas interpolate runs/gru-vae c1ccccc1 C1CCCCC1 --steps 20 --spherical --json";

/// Steps that are decoded at a time.
const BATCH: usize = 512;
/// Sines of angles below it are too inexact to divide by.
const SMALL_SINE: f64 = 1e-6;

/// Walk from one molecule to another
///
/// Decodes latents at equal distances from the first molecule's to the second's, both included: each
/// to the most probable string that the model finds, which need not be a molecule.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bundle's folder
    bundle: PathBuf,
    /// SMILES of the molecule to start from
    #[arg(value_name = "A")]
    from: String,
    /// SMILES of the molecule to arrive at
    #[arg(value_name = "B")]
    to: String,
    /// Steps from the one to the other
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,
    /// Turn from one latent's direction to the other's instead of going straight: latents of many
    /// dimensions are far from the centre, and this way stays as far from it
    #[arg(long)]
    spherical: bool,
    /// Draw the steps, with their shares, as an SVG
    #[arg(long, value_name = "FILE.svg")]
    grid: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, models: &Models) -> Result {
    let mut grid = GridFile::create(args.grid.as_deref())?;
    let model = models.load(&args.bundle)?;
    let ends = ends(&*model, args)?;
    let latents = model.encode(&ends)?.to_dtype(DType::F64)?;
    let latents = latents.to_vec2::<f64>()?;
    let [from, to] = latents.as_slice() else {
        return Err(Failure::new(format_args!(
            "the model encoded 2 molecules to {} latents",
            latents.len()
        )));
    };
    let interpolate = if args.spherical { spherical } else { linear };
    let shares: Vec<f64> = (0..=args.steps)
        .map(|step| f64::from(step) / f64::from(args.steps))
        .collect();
    let mut strings = Vec::with_capacity(shares.len());
    for shares in shares.chunks(BATCH) {
        let points = shares
            .iter()
            .flat_map(|&share| interpolate(from, to, share));
        let shape = (shares.len(), from.len());
        let points = Tensor::from_vec(points.collect(), shape, &Device::Cpu)?;
        strings.extend(model.decode(&for_model(&*model, &points)?)?);
    }
    let rows: Vec<(f64, String)> = shares.into_iter().zip(strings).collect();
    let came_back = [(&args.from, rows.first()), (&args.to, rows.last())].map(|(end, row)| {
        let decoded = row.map_or("", |(_, decoded)| decoded.as_str());
        let is_same = chem::is_same(end, decoded);
        if !is_same {
            output::say(&format_args!(
                "`{end}` does not come back: its latent decodes to `{decoded}`"
            ));
        }
        is_same
    });
    for (share, smiles) in &rows {
        grid.add(smiles, format_args!("{share:.3}"));
    }
    grid.finish()?;
    if args.json {
        return output::print_json(&to_json(args, &model.digest()?, came_back, &rows));
    }
    output::print(&to_table(&rows).render(output::terminal_width()))
}

/// The molecules, or what is wrong with either.
fn ends(model: &dyn MoleculeAutoencoder, args: &Args) -> Result<Vec<Smiles>> {
    let mut problems = Problems::default();
    let mut ends = Vec::new();
    for (name, text) in [("A", &args.from), ("B", &args.to)] {
        let known = known_molecule(model, text);
        ends.extend(problems.take(known.map_err(|error| error.within(name))));
    }
    problems.into_result("there is no way", Some(ends))
}

fn linear(from: &[f64], to: &[f64], share: f64) -> Vec<f64> {
    blend(from, to, [1.0 - share, share])
}

/// Shoemake's interpolation ("Animating Rotation with Quaternion Curves", 1985), as White ("Sampling
/// Generative Networks", 2016) uses it on latents. Straight where the directions are equal or
/// opposite, or a latent is zero: there is no single direction to turn in.
fn spherical(from: &[f64], to: &[f64], share: f64) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = dot(from, to) / (dot(from, from) * dot(to, to)).sqrt();
    let angle = cosine.clamp(-1.0, 1.0).acos();
    let sine = angle.sin();
    if sine.is_nan() || sine < SMALL_SINE {
        return linear(from, to, share);
    }
    let part = |share: f64| (share * angle).sin() / sine;
    blend(from, to, [part(1.0 - share), part(share)])
}

fn blend(from: &[f64], to: &[f64], parts: [f64; 2]) -> Vec<f64> {
    from.iter()
        .zip(to)
        .map(|(from, to)| parts[0] * from + parts[1] * to)
        .collect()
}

fn to_table(rows: &[(f64, String)]) -> Table {
    let mut table = Table::new(&["step", "share", "valid", "SMILES"], [0, 1]);
    for (step, (share, smiles)) in rows.iter().enumerate() {
        let valid = if chem::is_valid(smiles) { "yes" } else { "no" };
        table.row([
            step.to_string(),
            format!("{share:.3}"),
            valid.to_owned(),
            in_line(smiles).to_owned(),
        ]);
    }
    table
}

fn to_json(args: &Args, digest: &str, came_back: [bool; 2], rows: &[(f64, String)]) -> Value {
    let step = |(step, (share, smiles)): (usize, &(f64, String))| {
        let valid = chem::is_valid(smiles);
        json!({ "step": step, "share": share, "smiles": smiles, "valid": valid })
    };
    let steps: Vec<Value> = rows.iter().enumerate().map(step).collect();
    json!({
        "bundle": path_json(&args.bundle),
        "digest": digest,
        "from": args.from,
        "to": args.to,
        "from_came_back": came_back[0],
        "to_came_back": came_back[1],
        "way": if args.spherical { "spherical" } else { "linear" },
        "steps": steps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: [f64; 3] = [3.0, 0.0, 1.0];
    const TO: [f64; 3] = [-1.0, 2.0, 1.0];

    fn norm(point: &[f64]) -> f64 {
        point.iter().map(|x| x * x).sum::<f64>().sqrt()
    }

    #[test]
    fn both_ways_start_and_end_at_the_ends_themselves() {
        for way in [linear, spherical] {
            assert_eq!(way(&FROM, &TO, 0.0), FROM);
            assert_eq!(way(&FROM, &TO, 1.0), TO);
        }
    }

    #[test]
    fn a_spherical_way_between_latents_of_one_length_keeps_it_and_turns_evenly() {
        let (from, to) = ([2.0, 0.0], [0.0, 2.0]);
        for step in 0..=8 {
            let share = f64::from(step) / 8.0;
            let point = spherical(&from, &to, share);
            assert!((norm(&point) - 2.0).abs() < 1e-12);
            let angle = point[1].atan2(point[0]);
            assert!((angle - share * std::f64::consts::FRAC_PI_2).abs() < 1e-12);
        }
        assert!((norm(&linear(&from, &to, 0.5)) - 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn where_there_is_no_one_turn_the_way_is_straight() {
        for to in [[6.0, 0.0, 2.0], [-3.0, 0.0, -1.0], [0.0; 3]] {
            assert_eq!(spherical(&FROM, &to, 0.25), linear(&FROM, &to, 0.25));
        }
    }
}
