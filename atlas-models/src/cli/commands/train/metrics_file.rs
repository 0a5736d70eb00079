//! `metrics.jsonl`: what was measured, a JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::PathBuf;

use atlas_core::train::{EpochReport, StepReport};
use atlas_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::observer::HeldOutScores;
use crate::cli::training_note::scores_json;

/// The file of a run's measurements, which grows.
pub struct MetricsFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl MetricsFile {
    /// Opens the file and cuts off what follows its first `bytes` bytes: it was measured in steps
    /// that are taken again.
    pub fn open(path: PathBuf, bytes: u64) -> Result<Self> {
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            let length = file.metadata()?.len();
            file.set_len(length.min(bytes))?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|error| Error::io("write", &path, error))?;
        Ok(Self {
            file: BufWriter::new(file),
            path,
        })
    }

    /// Adds a step.
    pub fn step(&mut self, step: &StepReport) -> Result<()> {
        self.line(&json!({
            "kind": "step",
            "step": step.step,
            "epoch": step.epoch,
            "loss": step.loss,
            "parts": parts_json(&step.parts),
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm,
            "molecules": step.examples,
            "molecules_per_second": step.examples_per_second,
            "seconds": step.elapsed.as_secs_f64(),
        }))
    }

    /// Adds an epoch and what its model made of held-out molecules.
    pub fn epoch(&mut self, epoch: &EpochReport, held_out: Option<&HeldOutScores>) -> Result<()> {
        let of_held_out_blocks = held_out.and_then(|scores| scores.of_held_out_blocks);
        let held_out = held_out.map(|scores| {
            let mut json = scores_json(&scores.reconstruction);
            json.insert("loss".to_owned(), json!(scores.mean.loss));
            json.insert("parts".to_owned(), json!(parts_json(&scores.mean.parts)));
            json
        });
        let mut epoch_line = json!({
            "kind": "epoch",
            "epoch": epoch.epoch,
            "step": epoch.steps,
            "loss": epoch.loss,
            "parts": parts_json(&epoch.parts),
            "molecules_per_second": epoch.examples_per_second,
            "seconds": epoch.elapsed.as_secs_f64(),
            "held_out": held_out,
        });
        if let Some(scores) = of_held_out_blocks {
            epoch_line["of_held_out_blocks"] = json!(scores_json(&scores));
        }
        self.line(&epoch_line)
    }

    fn line(&mut self, line: &Value) -> Result<()> {
        writeln!(self.file, "{line}").map_err(|error| Error::io("write", &self.path, error))
    }

    /// Waits until everything is on the disk; gives the length of the file in bytes.
    pub fn sync(&mut self) -> Result<u64> {
        let sync = |file: &mut BufWriter<File>| -> io::Result<u64> {
            file.flush()?;
            file.get_ref().sync_data()?;
            file.stream_position()
        };
        sync(&mut self.file).map_err(|error| Error::io("write", &self.path, error))
    }
}

fn parts_json(parts: &[(String, f64)]) -> Map<String, Value> {
    let parts = parts.iter();
    parts
        .map(|(name, part)| (name.clone(), json!(part)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_after_the_checkpoint_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = MetricsFile::open(path.clone(), 0).unwrap();
        metrics.line(&json!({ "step": 1 })).unwrap();
        let bytes = metrics.sync().unwrap();
        metrics.line(&json!({ "step": 2 })).unwrap();
        metrics.sync().unwrap();

        let mut metrics = MetricsFile::open(path.clone(), bytes).unwrap();
        metrics.line(&json!({ "step": 20 })).unwrap();
        metrics.sync().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "{\"step\":1}\n{\"step\":20}\n");
    }
}
