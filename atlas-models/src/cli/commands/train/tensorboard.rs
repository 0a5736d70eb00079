//! Event files that TensorBoard reads.
//!
//! A file is a sequence of TFRecords (TensorFlow's `core/lib/io/record_writer.h`): the length of
//! the data as a little-endian `u64`, a masked CRC-32C of that, the data, a masked CRC-32C of
//! those. The data of each record are one `Event` of TensorFlow's `core/util/event.proto`; the
//! first says `brain.Event:2`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use atlas_core::{Error, Result};
use prost::Message;
use serde_json::Value;

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
    /// objects under names such as `model.latent_size`. A `null` is left out, and an array is shown
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

/// The part of `event.proto` that is written.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// In seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(enumeration = "SessionStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum SessionStatus {
    Unspecified = 0,
    Start = 1,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

/// `Summary.Value` of `summary.proto`.
#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    /// A zero is written, too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "8")]
    tensor: Option<TensorProto>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<SummaryMetadata>,
}

/// A tensor, of which TensorBoard wants one where there is none.
#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    dim: Vec<TensorDim>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorDim {
    #[prost(int64, tag = "1")]
    size: i64,
}

impl TensorProto {
    /// Of dtype `DT_FLOAT` and without elements.
    fn none() -> Self {
        let dim = vec![TensorDim { size: 0 }];
        let shape = Some(TensorShape { dim });
        Self { dtype: 1, shape }
    }
}

#[derive(Clone, PartialEq, Message)]
struct SummaryMetadata {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<PluginData>,
}

#[derive(Clone, PartialEq, Message)]
struct PluginData {
    #[prost(string, tag = "1")]
    plugin_name: String,
    #[prost(bytes = "vec", tag = "2")]
    content: Vec<u8>,
}

/// The part of TensorBoard's `plugins/hparams/plugin_data.proto` that is written.
#[derive(Clone, PartialEq, Message)]
struct HParamsPluginData {
    #[prost(message, optional, tag = "3")]
    session_start_info: Option<SessionStartInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionStartInfo {
    #[prost(btree_map = "string, message", tag = "1")]
    hparams: BTreeMap<String, HParam>,
    /// In seconds since 1970.
    #[prost(double, tag = "5")]
    start_time_secs: f64,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
struct HParam {
    #[prost(oneof = "HParamKind", tags = "2, 3, 4")]
    kind: Option<HParamKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum HParamKind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// import io  # tensorboard 2.21
    /// from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    /// from tensorboard.compat.proto.summary_pb2 import Summary
    /// from tensorboard.summary.writer.record_writer import RecordWriter
    /// f = io.BytesIO(); w = RecordWriter(f)
    /// value = Summary.Value(tag="train/loss", simple_value=0.25)
    /// for e in [Event(wall_time=1.5, file_version="brain.Event:2"),
    ///           Event(wall_time=1.5, step=7, session_log=SessionLog(status=SessionLog.START)),
    ///           Event(wall_time=2.5, step=300, summary=Summary(value=[value]))]:
    ///     w.write(e.SerializeToString())
    /// print(f.getvalue().hex())
    /// ```
    const TENSORBOARDS: &str = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a\
        322a28646c0f000000000000006d532b0909000000000000f83f10073a020801774771c72100000000000000017becf6\
        09000000000000044010ac022a130a110a0a747261696e2f6c6f7373150000803e3cc9cac5";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The data of each record, of which the checksums are right.
    fn records(mut bytes: &[u8]) -> Vec<Event> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length =
                usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
            let (data, rest) = bytes[12..].split_at(length);
            let mut expected = Vec::new();
            frame(data, &mut expected);
            assert_eq!(&bytes[..expected.len()], expected);
            records.push(Event::decode(data).unwrap());
            bytes = &rest[4..];
        }
        records
    }

    #[test]
    fn records_have_the_bytes_of_tensorboards_own_writer() {
        let start = SessionLog {
            status: SessionStatus::Start.into(),
        };
        let value = SummaryValue {
            tag: "train/loss".to_owned(),
            simple_value: Some(0.25),
            ..Default::default()
        };
        let summary = Summary { value: vec![value] };
        let mut bytes = Vec::new();
        for (wall_time, step, what) in [
            (1.5, 0, What::FileVersion(VERSION.to_owned())),
            (1.5, 7, What::SessionLog(start)),
            (2.5, 300, What::Summary(summary)),
        ] {
            let what = Some(what);
            let event = Event {
                wall_time,
                step,
                what,
            };
            frame(&event.encode_to_vec(), &mut bytes);
        }
        assert_eq!(hex(&bytes), TENSORBOARDS);
    }

    /// ```python
    /// import io  # tensorboard 2.21
    /// from tensorboard.compat.proto.event_pb2 import Event
    /// from tensorboard.compat.proto.summary_pb2 import Summary
    /// from tensorboard.plugins.hparams import metadata, plugin_data_pb2
    /// start = plugin_data_pb2.SessionStartInfo(start_time_secs=1.5)
    /// start.hparams["model.cell"].string_value = "gru"
    /// start.hparams["model.size"].number_value = 8
    /// start.hparams["training.shuffle"].bool_value = True
    /// data = plugin_data_pb2.HParamsPluginData(session_start_info=start)
    /// value = Summary.Value(tag=metadata.SESSION_START_INFO_TAG, tensor=metadata.NULL_TENSOR,
    ///                       metadata=metadata.create_summary_metadata(data))
    /// event = Event(wall_time=1.5, summary=Summary(value=[value]))
    /// print(event.SerializeToString(deterministic=True).hex())
    /// ```
    #[test]
    fn hyperparameters_have_the_bytes_of_tensorboards_own_record() {
        let object = serde_json::json!({
            "model": { "size": 8, "cell": "gru", "bound": null },
            "training": { "shuffle": true },
        });
        let summary = Summary {
            value: vec![session_start(&object, 1.5)],
        };
        let event = Event {
            wall_time: 1.5,
            step: 0,
            what: Some(What::Summary(summary)),
        };
        assert_eq!(
            hex(&event.encode_to_vec()),
            "09000000000000f83f2a89010a86010a1c5f68706172616d735f2f73657373696f6e5f73746172745f696e666f\
             42060801120212004a5e0a5c0a0768706172616d7312511a4f0a130a0a6d6f64656c2e63656c6c12051a036772\
             750a170a0a6d6f64656c2e73697a6512091100000000000020400a160a10747261696e696e672e73687566666c\
             651202200129000000000000f83f"
        );
    }

    #[test]
    fn a_record_is_not_held_back_for_longer_than_half_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path(), 0).unwrap();
        let records_written = |events: &EventFile| records(&fs::read(&events.path).unwrap()).len();
        events.scalar(1, "rate", 1.0).unwrap();
        assert_eq!(records_written(&events), 2);
        events.flushed = Instant::now().checked_sub(LONGEST_HELD).unwrap();
        events.scalar(2, "rate", 1.0).unwrap();
        assert_eq!(records_written(&events), 4);
    }

    #[test]
    fn a_file_starts_with_its_version_and_the_step_to_forget_from() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path().join("new"), 12).unwrap();
        events.scalar(13, "rate", 0.0).unwrap();
        events.flush().unwrap();
        let found = records(&fs::read(&events.path).unwrap());
        assert_eq!(
            found[0].what,
            Some(What::FileVersion("brain.Event:2".to_owned()))
        );
        assert_eq!((found[1].step, found[2].step), (13, 13));
        let Some(What::Summary(summary)) = &found[2].what else {
            panic!("{found:?}")
        };
        assert_eq!(summary.value[0].tag, "rate");
        assert_eq!(summary.value[0].simple_value, Some(0.0));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn files_of_one_second_do_not_replace_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..3)
            .map(|_| EventFile::create(folder.path(), 0).unwrap())
            .collect();
        let mut paths: Vec<_> = files.iter().map(|events| &events.path).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 3);
    }

    #[test]
    fn whatever_has_been_written_is_whole_records() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path(), 0).unwrap();
        for step in 1..=5000 {
            events
                .scalar(step, "train/loss", 1.0 / step as f64)
                .unwrap();
            if step % 500 == 0 {
                records(&fs::read(&events.path).unwrap());
            }
        }
        let path = events.path.clone();
        drop(events);
        assert_eq!(records(&fs::read(path).unwrap()).len(), 5002);
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = EventFile::create(&file, 0).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
