//! The note on training in a bundle's provenance, which `train` writes and other commands read.

use std::path::Path;

use crate::metrics::{Estimate, Reconstruction};
use atlas_core::Provenance;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::cli::failure::{Failure, Result};
use crate::cli::molecules;
use crate::cli::terminal::text::{count, percent};
use crate::data::{BUILT_IN, MemoryLimit, Molecules, RowOptions, Split};
use crate::models::MoleculeAutoencoder;

/// The topic of the note.
pub const TRAINING: &str = "training";
/// Its member that holds an object for each epoch.
pub const CURVE: &str = "curve";

/// The whole note.
#[derive(Serialize)]
pub struct TrainingNote<'a> {
    #[serde(flatten)]
    pub trained_on: &'a TrainedOn,
    /// How the model was trained.
    pub settings: &'a Value,
    pub epochs: usize,
    pub steps: u64,
    pub seconds: f64,
    /// Whether training ended with this epoch.
    pub finished: bool,
    /// What the model did to held-out molecules, if there are any.
    pub metrics: Option<Map<String, Value>>,
    /// What it did to molecules made of building blocks that training lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_held_out_blocks: Option<Map<String, Value>>,
    /// [`CURVE`]
    pub curve: &'a [Value],
}

/// The molecules that a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    pub data: Data,
    pub held_out: HeldOut,
}

/// A set of molecules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// The file's name as it was given, or `built-in`.
    pub source: String,
    /// BLAKE3 of the molecules.
    pub digest: String,
    pub molecules: usize,
    /// Rows that were left out.
    pub skipped: usize,
    /// How the file was read, and the molecules drawn alike.
    #[serde(default)]
    pub rows: RowOptions,
}

/// The molecules that training did not see: drawn from the data by the seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    pub molecules: usize,
    pub seed: u64,
}

impl TrainedOn {
    /// What the provenance says, if the model was trained by this program.
    pub fn of(provenance: &Provenance) -> Option<Self> {
        serde_json::from_value(provenance.notes().get(TRAINING)?.clone()).ok()
    }

    /// What tells these training molecules from those of another run.
    pub fn id(&self) -> String {
        let Self { data, held_out } = self;
        format!("{} {} {}", data.digest, held_out.molecules, held_out.seed)
    }

    /// The molecules, read again: their digest says that they are the same. Those that the model
    /// cannot represent were left out of the digest, too.
    ///
    /// # Errors
    /// If they are not there any more, or others are.
    pub fn read_again(&self, bundle: &Path, model: &dyn MoleculeAutoencoder) -> Result<Molecules> {
        let (bundle, source) = (bundle.display(), &self.data.source);
        let mut data = if self.data.source == BUILT_IN {
            Molecules::built_in(MemoryLimit::default())?
        } else {
            let path = Path::new(source);
            if !path.is_file() {
                return Err(Failure::new(format_args!(
                    "{bundle} was trained on {source}, which is not here"
                )));
            }
            molecules::read(path, self.data.rows.clone(), MemoryLimit::default())?
        };
        data.keep_representable(model)?;
        if data.digest()? == self.data.digest {
            return Ok(data);
        }
        let why = if self.data.source == BUILT_IN {
            format!(
                "{bundle} was trained on the built-in molecules of atlas {}, which are not those of \
                 this version",
                model.provenance().atlas()
            )
        } else {
            format!("{source} has changed since {bundle} was trained on it")
        };
        Err(Failure::new(why))
    }

    /// The molecules that training saw, and those that it did not.
    ///
    /// # Errors
    /// Where [`read_again`](Self::read_again) fails.
    pub fn split_again(&self, data: &Molecules) -> Result<Split> {
        Ok(data.split(self.held_out.molecules, self.held_out.seed)?)
    }
}

/// The built-in molecules of held-out building blocks that the model can represent.
pub fn of_held_out_blocks(model: &dyn MoleculeAutoencoder) -> atlas_core::Result<Molecules> {
    let mut molecules = Molecules::of_held_out_blocks(MemoryLimit::default())?;
    molecules.keep_representable(model)?;
    Ok(molecules)
}

/// `1,000 held-out molecules of zinc.smi`, `1,000 held-out built-in molecules`; `kind` comes before
/// the noun.
pub fn molecules_of(source: &str, number: usize, kind: &str) -> String {
    match source {
        BUILT_IN => count(number, &format!("{kind}built-in molecule")),
        file => format!("{} of {file}", count(number, &format!("{kind}molecule"))),
    }
}

/// A reconstruction as JSON: every count, and every share from 0 to 1.
pub fn scores_json(reconstruction: &Reconstruction) -> Map<String, Value> {
    let scores = json!({
        "molecules": reconstruction.molecules,
        "exact": reconstruction.exact,
        "exact_share": reconstruction.exact_share(),
        "canonical": reconstruction.canonical,
        "canonical_share": reconstruction.canonical_share(),
        "valid": reconstruction.valid,
        "valid_share": reconstruction.valid_share(),
        "tokens": reconstruction.tokens,
        "tokens_right": reconstruction.tokens_right,
        "token_share": reconstruction.token_share(),
        "failure_similarity": reconstruction.failure_similarity().map(|mean| mean.value),
    });
    scores.as_object().cloned().unwrap_or_default()
}

/// Where the 95 % interval of each share begins and ends.
pub fn intervals_json(reconstruction: &Reconstruction) -> Value {
    let share = |part| Estimate::share(part, reconstruction.molecules);
    let interval = |of: Option<Estimate>| of.map(|of| [of.low, of.high]);
    json!({
        "exact_share": interval(share(reconstruction.exact)),
        "canonical_share": interval(share(reconstruction.canonical)),
        "valid_share": interval(share(reconstruction.valid)),
        "token_share": interval(reconstruction.token_estimate()),
        "failure_similarity": interval(reconstruction.failure_similarity()),
    })
}

/// A reconstruction in a line; then how many molecules of held-out building blocks were
/// reconstructed, if there are such.
pub fn headline(held_out: &Reconstruction, of_blocks: Option<&Reconstruction>) -> String {
    let of_blocks = of_blocks.map_or(String::new(), |scores| {
        format!(
            "; {} of {} of building blocks that training lacks",
            percent(scores.exact_share()),
            count(scores.molecules, "molecule")
        )
    });
    format!(
        "{} of {} reconstructed exactly ({} as the same molecule; {} valid; {} of tokens){of_blocks}",
        percent(held_out.exact_share()),
        count(held_out.molecules, "held-out molecule"),
        percent(held_out.canonical_share()),
        percent(held_out.valid_share()),
        percent(held_out.token_share()),
    )
}
