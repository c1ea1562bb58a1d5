//! Damage to the files of checkpoints: what of a checkpoint is read is whole, or refused.

use std::{
    fs,
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
};

use pliant_core::{clock::Clock, state::StateDict, tch::Tensor};
use pliant_fuzzing::{Surface, Verdict};

use serde_json::json;

use crate::{
    checkpoint,
    failure::legible,
    run_dir::RunDirectory,
    sinks::{
        TensorBoardSink,
        tensorboard::{self, Start},
    },
    tensors,
};

pliant_fuzzing::surfaces! {
    damaged_checkpoints_are_refused: 10_000,
    damaged_files_of_tensors_are_refused: 20_000,
    damaged_records_of_a_run_are_left_aside: 5_000,
    damaged_event_files_are_gone_on_from: 3_000,
}

fn write(folder: &Path, updates: u64, mark: u8) -> PathBuf {
    let mut state = StateDict::default();
    state.put_tensor("w", &Tensor::from_slice(&[mark as f32; 5]));
    state.put_tensor("frames", &Tensor::from_slice(&[mark; 40]));
    state.put("count", &updates);
    let contents = checkpoint::Contents {
        clock: Clock { updates, ..Clock::default() },
        wall_s: 1.5,
        state,
        envs: vec![vec![mark; 70], vec![mark; 70]],
        replay: Some(Box::new(move |out| {
            out.write_all(&[mark; 300]).map_err(|error| error.to_string())
        })),
    };
    let mut writer = checkpoint::Writer::new(folder.to_owned(), 9);
    writer.write(&contents).and_then(|()| writer.wait()).expect("a writable folder");
    folder.join(updates.to_string())
}

fn damaged_checkpoints_are_refused(cases: Range<u64>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, other) = (write(folder.path(), 7, 1), write(folder.path(), 8, 2));
    let entries = |path: &Path| {
        fs::read_dir(path).expect("a folder").flatten().map(|entry| entry.file_name())
    };
    let read = |path: &Path| -> Vec<_> {
        entries(path)
            .map(|name| (name.clone(), fs::read(path.join(name)).expect("a file")))
            .collect()
    };
    let (whole, others) = (read(&path), read(&other));
    Surface::new("checkpoint").check(cases, |damage| {
        let (name, content) = damage.one_of(&whole);
        let others: Vec<&[u8]> = others.iter().map(|(_, content)| content.as_slice()).collect();
        let file = if damage.once_in(8) {
            damage.one_of(&others).to_vec()
        } else {
            damage.bytes(content, &others)
        };
        fs::write(path.join(name), file).expect("written");
        let loaded = checkpoint::read(&path);
        let replay = checkpoint::replay(&path).and_then(|replay| {
            let mut bytes = Vec::new();
            let read = replay.map(|replay| replay.take(1 << 20).read_to_end(&mut bytes));
            read.transpose().map(drop).map_err(|error| error.to_string())
        });
        fs::write(path.join(name), content).expect("written");
        let read = loaded.map(drop).and(replay);
        read.map_or_else(|error| Verdict::Refused(legible(&error)), |()| Verdict::Taken)
    });
    checkpoint::read(&path).expect("whole again");
}

fn damaged_files_of_tensors_are_refused(cases: Range<u64>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tensors.safetensors");
    let all = [
        ("w", Tensor::from_slice(&[1f32; 6]).reshape([2, 3])),
        ("n", Tensor::from_slice(&[1i64, 2])),
    ];
    Tensor::write_safetensors(&all, &path).expect("written");
    let whole = fs::read(&path).expect("just written");
    let header = 8 + usize::from(u16::from_le_bytes([whole[0], whole[1]]));
    Surface::new("tensors").check(cases, |damage| {
        let file = if damage.once_in(2) {
            damage.bytes(&whole, &[])
        } else {
            let json = serde_json::from_slice(&whole[8..header]).expect("JSON");
            let json = serde_json::to_vec(&damage.json(&json)).expect("plain data");
            [&(json.len() as u64).to_le_bytes(), json.as_slice(), &whole[header..]].concat()
        };
        fs::write(&path, file).expect("written");
        tensors::read(&path).map_err(|error| legible(&error)).into()
    });
}

fn damaged_records_of_a_run_are_left_aside(cases: Range<u64>) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), "").expect("written");
    let directory = RunDirectory::open(folder.path()).expect("a run");
    let status = r#"{"state":"running","clock":{"frames":8,"agent_steps":2,"updates":1,"episodes":0},"budget_frames":10,"wall_s":1.5,"updated_unix_s":7,"error":null}"#;
    let provenance = r#"{"version":"0.1.0","commit":"x","libtorch":"2","device":"cpu","threads":1,"seed":0,"inputs":[["rom","x"]],"plugins":[],"earlier":[]}"#;
    Surface::new("records").check(cases, |damage| {
        fs::write(folder.path().join("status.json"), damage.text(status)).expect("written");
        fs::write(folder.path().join("provenance.json"), damage.text(provenance)).expect("written");
        directory.provenance();
        directory.status().ok_or("left aside").into()
    });
}

/// Files of damaged names and content beside the run's own, which is cut where a checkpoint says.
fn damaged_event_files_are_gone_on_from(cases: Range<u64>) {
    Surface::new("event files").check(cases, |damage| {
        let dir = tempfile::tempdir().expect("a folder");
        let first = TensorBoardSink::create(dir.path(), Start::Fresh).expect("a sink");
        let whole = fs::read(first.path()).expect("a file");
        let name = first.path().file_name().and_then(|name| name.to_str()).expect("a name");
        let damaged = damage.text(name);
        let plain = damaged.chars().filter(|letter| !matches!(letter, '/' | '\0')).take(60);
        let damaged = dir.path().join(format!("events.out.tfevents.{}", plain.collect::<String>()));
        fs::write(&damaged, damage.bytes(&whole, &[])).expect("written");
        let position = json!({ "file": name, "bytes": 40 });
        let position = serde_json::from_value(damage.json(&position));
        let gone_on = position.map_err(|error| error.to_string()).and_then(|position| {
            tensorboard::cut(dir.path(), Some(&position))
                .and_then(|()| {
                    TensorBoardSink::create(dir.path(), Start::Resumed { frames: u64::MAX })
                })
                .map_err(|error| error.to_string())
        });
        gone_on.map_err(|error| legible(&error)).into()
    });
}
