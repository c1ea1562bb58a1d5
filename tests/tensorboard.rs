//! Event files, read back by readers that are not the writer: one of a few lines below, and
//! TensorBoard itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pliant::sinks::{
    Start, TensorBoardSink,
    tensorboard::{Band, Category, Chart, HparamValue, Lines, Outcome},
};
use pliant_core::{
    clock::Clock,
    envs::env::Picture,
    metrics::{Metrics, Value as MetricValue},
    sink::Sink,
};
use protobuf::Message;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tensorboard_proto::event::{Event, SessionLog_SessionStatus};

fn at_frames(frames: u64) -> Clock {
    Clock { frames, ..Clock::default() }
}

fn scalar(tag: &str, value: f64) -> Metrics {
    let mut metrics = Metrics::default();
    metrics.scalar(tag, value);
    metrics
}

fn write_loss(sink: &mut TensorBoardSink, frames: &[u64], value: f64) {
    for &frames in frames {
        sink.write(&at_frames(frames), 0.0, &scalar("loss", value)).expect("written");
    }
}

/// Frame `t` of a film: a white column on a ground of many colours, `t` pixels from the left.
fn film_frame(t: usize) -> Picture {
    let (width, height) = (16, 12);
    let pixel = |i: usize| if i % width == t { [255; 3] } else { [i as u8, 64, 128] };
    Picture { height, width, rgb: (0..width * height).flat_map(pixel).collect() }
}

/// A picture of more colours than a palette holds.
fn colourful() -> Picture {
    let pixel = |i: usize| [(i % 32 * 8) as u8, (i / 32 * 8) as u8, 7];
    Picture { height: 32, width: 32, rgb: (0..32 * 32).flat_map(pixel).collect() }
}

/// A GIF file of two pixels: black and white, then white and white; made by the gif crate alone.
fn two_frames() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, 2, 1, &[0, 0, 0, 255, 255, 255]).expect("a GIF");
    for pixels in [[0, 1], [1, 1]] {
        let frame = gif::Frame { width: 2, height: 1, delay: 7, ..gif::Frame::default() };
        let frame = gif::Frame { buffer: pixels.to_vec().into(), ..frame };
        encoder.write_frame(&frame).expect("a frame");
    }
    drop(encoder);
    file
}

/// Everything that can be written, at frames 4000.
fn write_every_kind(dir: &Path) {
    let mut sink = TensorBoardSink::create(dir, Start::Fresh).expect("a sink");
    let hparams = [
        ("agent.discount".to_owned(), HparamValue::Number(0.99)),
        ("env.kind".to_owned(), HparamValue::Text("mdp".to_owned())),
        ("agent.double".to_owned(), HparamValue::Bool(true)),
    ];
    sink.write_hparams(&hparams, &["eval/return"]).expect("written");
    sink.write_layout(&[category()]).expect("written");
    let mut metrics = scalar("eval/return", 21.5);
    metrics.histogram("probe/units", vec![0.0, 1.0, 1.0, 30.0, f64::NAN]);
    metrics.images("film", (0..3).map(film_frame).collect(), 25);
    metrics.images("still", vec![colourful()], 1);
    metrics.add("encoded", MetricValue::Film { gif: two_frames(), width: 2, height: 1 });
    metrics.text("notes", "**bold** ünïcode");
    sink.write(&at_frames(4000), 1.0, &metrics).expect("written");
    sink.write_outcome(&at_frames(5000), Outcome::Done).expect("written");
}

fn category() -> Category {
    let band = Band { value: "iqm".into(), lower: "low".into(), upper: "high".into() };
    let charts = vec![
        Chart { title: "Score".into(), lines: Lines::Bands(vec![band]) },
        Chart { title: "Losses".into(), lines: Lines::Tags(vec!["train/.*".into()]) },
    ];
    Category { title: "Study".into(), charts }
}

/// The event files of a folder, in the order TensorBoard reads them.
fn event_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

/// The events of a file: length (8 bytes), its CRC (4), the event, its CRC (4), little-endian.
fn events(file: &Path) -> Vec<Event> {
    let bytes = fs::read(file).expect("a file");
    let mut rest = &bytes[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (header, body) = rest.split_at(12);
        let length = u64::from_le_bytes(header[..8].try_into().expect("8 bytes")) as usize;
        assert_eq!(header[8..], masked_crc32c(&header[..8]).to_le_bytes());
        let (data, after) = body.split_at(length);
        assert_eq!(after[..4], masked_crc32c(data).to_le_bytes());
        events.push(Event::parse_from_bytes(data).expect("an event"));
        rest = &after[4..];
    }
    events
}

/// CRC-32C (Castagnoli) bit by bit, masked as in TFRecord files.
fn masked_crc32c(data: &[u8]) -> u32 {
    let crc = !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    });
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[test]
fn the_readers_checksum_gives_the_published_value() {
    // RFC 3720, B.4: 32 bytes of zeros.
    assert_eq!(masked_crc32c(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
}

#[test]
fn records_have_their_checksums_and_the_steps_are_frames() {
    let dir = tempfile::tempdir().expect("a folder");
    write_every_kind(dir.path());
    let [file] = &event_files(dir.path())[..] else { panic!("one file") };
    let events = events(file);
    assert_eq!(events[0].get_file_version(), "brain.Event:2");
    let tags: Vec<_> = events[1..]
        .iter()
        .flat_map(|event| event.get_summary().get_value().iter().map(|v| (event.step, v.get_tag())))
        .collect();
    let expected = [
        (0, "_hparams_/session_start_info"),
        (0, "_hparams_/experiment"),
        (0, "custom_scalars__config__"),
        (4000, "eval/return"),
        (4000, "probe/units/dropped"),
        (4000, "probe/units"),
        (4000, "film"),
        (4000, "still"),
        (4000, "encoded"),
        (4000, "notes"),
        (5000, "_hparams_/session_end_info"),
    ];
    assert_eq!(tags, expected);
}

#[test]
fn a_flush_makes_what_was_written_readable() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut sink = TensorBoardSink::create(dir.path(), Start::Fresh).expect("a sink");
    write_loss(&mut sink, &[10], 0.5);
    sink.flush().expect("flushed");
    let last = events(sink.path()).pop().expect("an event");
    assert_eq!((last.step, last.get_summary().get_value()[0].get_simple_value()), (10, 0.5));
}

#[test]
fn every_file_begins_with_a_start_where_its_points_begin() {
    let dir = tempfile::tempdir().expect("a folder");
    write_loss(&mut TensorBoardSink::create(dir.path(), Start::Fresh).expect("a sink"), &[1], 1.0);
    let resumed = Start::Resumed { frames: 4000 };
    drop(TensorBoardSink::create(dir.path(), resumed).expect("a sink"));
    let files = event_files(dir.path());
    for (file, step) in files.iter().zip([0, 4001]) {
        let events = events(file);
        assert_eq!(events[0].get_file_version(), "brain.Event:2");
        assert_eq!(events[1].get_session_log().get_status(), SessionLog_SessionStatus::START);
        assert_eq!(events[1].step, step);
    }
    assert_eq!(files.len(), 2);
}

/// What TensorBoard's own reader finds.
fn read_by_tensorboard(dir: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check-tensorboard");
    let output = Command::new(script).arg(dir).output().expect("the script");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
#[ignore = "slow: installs TensorBoard from PyPI"]
fn tensorboard_reads_every_kind() {
    let dir = tempfile::tempdir().expect("a folder");
    write_every_kind(dir.path());
    let found = read_by_tensorboard(dir.path());

    let scalars = json!({"eval/return": [[4000, 21.5]], "probe/units/dropped": [[4000, 1.0]]});
    assert_eq!(found["scalars"], scalars);
    let bins = found["histograms"]["probe/units"][0][1].as_array().expect("bins");
    assert_eq!(bins.len(), 30);
    assert_eq!((&bins[0], &bins[1]), (&json!([0.0, 1.0, 1.0]), &json!([1.0, 2.0, 2.0])));
    assert_eq!(bins[29], json!([29.0, 30.0, 1.0]));
    assert_eq!(found["text"]["notes"], json!([[4000, "**bold** ünïcode"]]));

    let film: Vec<_> = (0..3).map(|t| json!([sha256(&film_frame(t).rgb), 40])).collect();
    let film = json!({"format": "GIF", "size": [16, 12], "said_size": [16, 12], "frames": film});
    assert_eq!(found["images"]["film"], json!([[4000, film]]));
    let still = json!([sha256(&colourful().rgb), null]);
    let still =
        json!({"format": "PNG", "size": [32, 32], "said_size": [32, 32], "frames": [still]});
    assert_eq!(found["images"]["still"], json!([[4000, still]]));

    let frames: Vec<_> =
        [[0, 0, 0, 255, 255, 255], [255; 6]].map(|rgb| json!([sha256(&rgb), 70])).into();
    let encoded = json!({"format": "GIF", "size": [2, 1], "said_size": [2, 1], "frames": frames});
    assert_eq!(found["images"]["encoded"], json!([[4000, encoded]]));

    let hparams = &found["hparams"];
    let settings = json!({"agent.discount": 0.99, "env.kind": "mdp", "agent.double": true});
    let session_start = &hparams["_hparams_/session_start_info"]["sessionStartInfo"];
    assert_eq!(session_start["hparams"], settings);
    let experiment = &hparams["_hparams_/experiment"]["experiment"];
    assert_eq!(experiment["metricInfos"], json!([{"name": {"tag": "eval/return"}}]));
    assert_eq!(experiment["hparamInfos"][0]["type"], "DATA_TYPE_FLOAT64");
    let end = &hparams["_hparams_/session_end_info"]["sessionEndInfo"];
    assert_eq!(end["status"], "STATUS_SUCCESS");

    let charts = json!([
        {"title": "Score", "margin": {"series": [{"value": "iqm", "lower": "low", "upper": "high"}]}},
        {"title": "Losses", "multiline": {"tag": ["train/.*"]}},
    ]);
    let layout = json!({"category": [{"title": "Study", "chart": charts}]});
    assert_eq!(found["custom_scalars"]["custom_scalars__config__"], json!([[0, layout]]));
}

#[test]
#[ignore = "slow: installs TensorBoard from PyPI"]
fn tensorboard_drops_what_came_after_the_checkpoint_and_keeps_the_rest() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut first = TensorBoardSink::create(dir.path(), Start::Fresh).expect("a sink");
    write_loss(&mut first, &[10, 20, 30, 40], 1.0);
    drop(first);
    // The end of a record, as a killed run leaves it.
    let file = &event_files(dir.path())[0];
    let bytes = fs::read(file).expect("a file");
    fs::write(file, &bytes[..bytes.len() - 3]).expect("a file");

    let resumed = Start::Resumed { frames: 20 };
    let mut second = TensorBoardSink::create(dir.path(), resumed).expect("a sink");
    write_loss(&mut second, &[35], 2.0);
    drop(second);
    let found = read_by_tensorboard(dir.path());
    assert_eq!(found["scalars"]["loss"], json!([[10, 1.0], [20, 1.0], [35, 2.0]]));
}
