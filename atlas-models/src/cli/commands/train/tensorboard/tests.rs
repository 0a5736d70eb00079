//! What TensorBoard reads of an event file.

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
        let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
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
