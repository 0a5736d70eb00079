//! Event files that TensorBoard reads.
//!
//! A file is a sequence of TFRecords (TensorFlow's `core/lib/io/record_writer.h`): the length of
//! the data as a little-endian `u64`, a masked CRC-32C of that, the data, a masked CRC-32C of
//! those. The data of each record are one `Event` of TensorFlow's `core/util/event.proto`; the
//! first says `brain.Event:2`.

mod messages;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use atlas_core::{Error, Result};
use prost::Message;
use serde_json::Value;

use messages::{
    Event, HParam, HParamKind, HParamsPluginData, PluginData, SessionLog, SessionStartInfo,
    SessionStatus, Summary, SummaryMetadata, SummaryValue, TensorProto, What,
};

/// What the first event of a file says: summaries hold plain values, and a start of a session
/// replaces what came after its step.
const VERSION: &str = "brain.Event:2";
/// Bytes of records that are held back until they are written together.
const HELD: usize = 1 << 16;
/// The time after which a record is written with the next one.
const LONGEST_HELD: Duration = Duration::from_secs(30);
/// The tag and the plugin of hyperparameters (TensorBoard's `plugins/hparams/metadata.py`).
const SESSION_START: &str = "_hparams_/session_start_info";
const HPARAMS: &str = "hparams";

/// An event file of TensorBoard that is being written: hyperparameters, and scalars over the steps
/// of training.
///
/// What is in the file is always whole records; the rest is written by [`flush`](Self::flush), with
/// the first record after half a minute, and when the file is dropped.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole records in the file.
    written: u64,
    /// Whole records that are not in the file yet.
    held: Vec<u8>,
    flushed: Instant,
}

impl EventFile {
    /// Creates an event file of a name of its own in `folder`, which is created if it is not
    /// there, for the steps after `step`.
    ///
    /// What earlier files in the folder say of later steps, TensorBoard forgets: a run that is
    /// resumed from a checkpoint repeats them.
    ///
    /// # Errors
    /// If the file cannot be created or written; the message names it.
    pub fn create(folder: impl AsRef<Path>, step: u64) -> Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        let now = wall_time();
        let (path, file) = new_file(folder, now)?;
        let mut events = Self {
            path,
            file,
            written: 0,
            held: Vec::new(),
            flushed: Instant::now(),
        };
        events.push(now, 0, What::FileVersion(VERSION.to_owned()))?;
        // TensorBoard forgets the events at the step of a start, too.
        let start = SessionLog {
            status: SessionStatus::Start.into(),
        };
        events.push(now, signed(step.saturating_add(1)), What::SessionLog(start))?;
        events.flush()?;
        Ok(events)
    }

    /// Adds the value that `tag` has at a step. Tags with a common part before a `/`, such as
    /// `train/loss`, are shown together.
    ///
    /// # Errors
    /// If the file cannot be written; the message names it.
    pub fn scalar(&mut self, step: u64, tag: &str, value: f64) -> Result<()> {
        let value = SummaryValue {
            tag: tag.to_owned(),
            simple_value: Some(value as f32),
            ..Default::default()
        };
        let summary = Summary { value: vec![value] };
        self.push(wall_time(), signed(step), What::Summary(summary))
    }

    /// Adds what the run depends on, for the tab HPARAMS: every member of an object, those of nested
    /// objects under names such as `model.latent.size`. A `null` is left out, and an array is shown
    /// as JSON.
    ///
    /// # Errors
    /// If the file cannot be written; the message names it.
    pub fn hyperparameters(&mut self, object: &Value) -> Result<()> {
        let now = wall_time();
        let value = session_start(object, now);
        let summary = Summary { value: vec![value] };
        self.push(now, 0, What::Summary(summary))?;
        self.flush()
    }

    /// Writes what is held back.
    ///
    /// # Errors
    /// If the file cannot be written; the message names it.
    pub fn flush(&mut self) -> Result<()> {
        if let Err(error) = self.file.write_all(&self.held) {
            // Part of a record would end what TensorBoard reads of the file. Were cutting it off
            // to fail as well, the first error is the one to report.
            let _ = self.file.set_len(self.written);
            return Err(Error::io("write", &self.path, error));
        }
        self.written += self.held.len() as u64;
        self.held.clear();
        self.flushed = Instant::now();
        Ok(())
    }

    fn push(&mut self, wall_time: f64, step: i64, what: What) -> Result<()> {
        let event = Event {
            wall_time,
            step,
            what: Some(what),
        };
        frame(&event.encode_to_vec(), &mut self.held);
        if self.held.len() >= HELD || self.flushed.elapsed() >= LONGEST_HELD {
            self.flush()?;
        }
        Ok(())
    }
}

impl Drop for EventFile {
    fn drop(&mut self) {
        // Whoever wants to know of a failure flushes before.
        let _ = self.flush();
    }
}

/// A new file whose name sorts after those of earlier seconds, as TensorBoard reads them.
fn new_file(folder: &Path, now: f64) -> Result<(PathBuf, File)> {
    let created = tempfile::Builder::new()
        .prefix(&format!("events.out.tfevents.{:010}.atlas.", now as u64))
        .rand_bytes(12)
        .disable_cleanup(true)
        // Appending, so that what follows a failed write does not leave a gap.
        .make_in(folder, |path| {
            OpenOptions::new().append(true).create_new(true).open(path)
        });
    let (file, path) = created
        .map_err(|error| Error::io("create an event file in", folder, error))?
        .into_parts();
    Ok((path.to_path_buf(), file))
}

/// The hyperparameters of a run that starts now.
fn session_start(object: &Value, now: f64) -> SummaryValue {
    let mut hparams = BTreeMap::new();
    flatten(String::new(), object, &mut hparams);
    let data = HParamsPluginData {
        session_start_info: Some(SessionStartInfo {
            hparams,
            start_time_secs: now,
        }),
    };
    let plugin_data = PluginData {
        plugin_name: HPARAMS.to_owned(),
        content: data.encode_to_vec(),
    };
    SummaryValue {
        tag: SESSION_START.to_owned(),
        tensor: Some(TensorProto::none()),
        metadata: Some(SummaryMetadata {
            plugin_data: Some(plugin_data),
        }),
        ..Default::default()
    }
}

/// Adds every member of an object, under the names that lead to it.
fn flatten(name: String, value: &Value, to: &mut BTreeMap<String, HParam>) {
    let kind = match value {
        Value::Null => return,
        Value::Object(members) => {
            let prefix = if name.is_empty() { name } else { name + "." };
            for (name, value) in members {
                flatten(format!("{prefix}{name}"), value, to);
            }
            return;
        }
        Value::Bool(value) => HParamKind::Bool(*value),
        Value::String(text) => HParamKind::Text(text.clone()),
        Value::Array(_) => HParamKind::Text(value.to_string()),
        Value::Number(number) => match number.as_f64() {
            Some(number) => HParamKind::Number(number),
            None => HParamKind::Text(number.to_string()),
        },
    };
    to.insert(name, HParam { kind: Some(kind) });
}

/// Adds a record of `data`.
fn frame(data: &[u8], to: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    to.extend(length);
    to.extend(masked_crc(&length).to_le_bytes());
    to.extend(data);
    to.extend(masked_crc(data).to_le_bytes());
}

/// A checksum of data that may hold checksums (TensorFlow's `core/lib/hash/crc32c.h`).
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// Seconds since 1970.
fn wall_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

fn signed(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
