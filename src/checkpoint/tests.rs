use std::{fs, io::BufReader};

use pliant_core::tch::Tensor;

use super::*;

fn contents(updates: u64) -> Contents<'static> {
    let mut state = StateDict::default();
    state.put_tensor("w", &Tensor::from_slice(&[1f32, 2.0, updates as f32]));
    state.put("count", &updates);
    Contents {
        clock: Clock { updates, ..Clock::default() },
        wall_s: 1.5,
        state,
        envs: vec![vec![1, 2, 3], Vec::new()],
        replay: Some(Box::new(|out| out.write_all(b"frames").map_err(|error| error.to_string()))),
    }
}

/// A folder with the checkpoints of these updates.
fn written(all: &[u64], keep: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut writer = Writer::new(folder.path().to_owned(), keep);
    for updates in all {
        writer.write(&contents(*updates)).expect("a writable folder");
    }
    writer.wait().expect("a writable folder");
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn newest(folder: &Path) -> Loaded {
    read_newest(folder).expect("one is whole").loaded.expect("there is one")
}

#[test]
fn what_is_written_is_read_and_the_newest_are_kept() {
    let folder = written(&[9, 10, 100], 2);
    assert_eq!(names(folder.path()), ["10", "100"]);
    let loaded = newest(folder.path());
    assert_eq!(loaded.clock.updates, 100);
    assert_eq!(loaded.envs, [vec![1, 2, 3], Vec::new()]);
    assert_eq!(loaded.state.get::<u64>("count").expect("saved"), 100);
    assert_eq!(loaded.state.tensor("w").expect("saved").double_value(&[2]), 100.0);
    let mut frames = String::new();
    let reader = replay(&loaded.path).expect("readable").expect("there");
    BufReader::new(reader).read_to_string(&mut frames).expect("text");
    assert_eq!(frames, "frames");
    let older = folder.path().join("10");
    assert!(replay(&older).expect("no error").is_none());
    assert!(!older.join("replay.zst").exists());
    read(&older).expect("whole without its replay");
}

#[test]
fn another_version_is_refused_by_name() {
    let folder = written(&[0, 1], 2);
    let path = folder.path().join("1");
    let text = fs::read_to_string(path.join("manifest.json")).expect("just written");
    let text = text.replace("\"version\": 2", "\"version\": 7");
    fs::write(path.join("manifest.json"), text).expect("writable");
    let error = read(&path).err().expect("a version of the future");
    assert!(error.contains("version 7") && error.contains("version 2"), "{error}");
    let error = read_newest(folder.path()).err().expect("not damaged, but not read");
    assert!(error.contains("version 7"), "{error}");
    fs::remove_file(path.join("manifest.json")).expect("there");
    fs::write(path.join("state.json"), "{\"version\":1}").expect("writable");
    let error = read(&path).err().expect("from before manifests");
    assert!(error.contains("version 1,"), "{error}");
}

/// Also where what is left can be read, such as a parameter with one bit flipped.
#[test]
fn any_change_to_any_file_is_an_error_that_names_it() {
    let folder = written(&[1], 1);
    let path = folder.path().join("1");
    for name in names(&path) {
        let bytes = fs::read(path.join(&name)).expect("just written");
        let flipped = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            bytes
        };
        for damaged in [bytes[..bytes.len() / 2].to_vec(), flipped(bytes.len() - 9), Vec::new()] {
            fs::write(path.join(&name), &damaged).expect("writable");
            let error = read(&path).err().unwrap_or_else(|| panic!("{name} was changed"));
            assert!(error.contains(&name) || name == "manifest.json", "{name}: {error}");
        }
        fs::remove_file(path.join(&name)).expect("there");
        assert!(read(&path).err().is_some_and(|error| error.contains(&name)), "{name}");
        fs::write(path.join(&name), &bytes).expect("writable");
    }
    assert!(read(&path).is_ok());
}

#[test]
fn a_manifest_lists_what_a_checkpoint_has_and_nothing_else() {
    let folder = written(&[1], 1);
    let path = folder.path().join("1/manifest.json");
    let text = fs::read_to_string(&path).expect("just written");
    for (from, to, words) in [
        ("\"envs.zst\"", "\"../../x\"", "../../x"),
        ("\"envs.zst\"", "\"replay.zst.2\"", "replay.zst.2"),
        ("\"envs.zst\"", "\"replay.zst\"", "envs.zst is not in it"),
    ] {
        fs::write(&path, text.replace(from, to)).expect("writable");
        let error = read(&folder.path().join("1")).err().expect("another list");
        assert!(error.contains(words), "{to}: {error}");
    }
}

#[test]
fn files_of_two_checkpoints_do_not_mix() {
    let folder = written(&[1, 2], 2);
    let [one, two] = ["1", "2"].map(|name| folder.path().join(name).join("tensors.safetensors"));
    fs::copy(one, two).expect("writable");
    assert!(read(&folder.path().join("2")).is_err());
}

#[test]
fn a_damaged_newest_one_gives_way_to_the_one_before() {
    let folder = written(&[1, 2, 3], 3);
    for name in ["2", "3"] {
        fs::write(folder.path().join(name).join("envs.zst"), "").expect("writable");
    }
    let Newest { loaded, damaged } = read_newest(folder.path()).expect("one is whole");
    assert_eq!(loaded.expect("there is one").clock.updates, 1);
    let of = |name: &str| folder.path().join(name);
    assert_eq!(
        damaged.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(),
        [of("3"), of("2")]
    );
    for (path, _) in damaged {
        set_aside(&path).expect("a writable folder");
    }
    assert_eq!(list(folder.path()), [of("1")]);
    fs::write(of("1").join("envs.zst"), "").expect("writable");
    let error = read_newest(folder.path()).err().expect("none is whole");
    assert!(error.contains("envs.zst"), "{error}");
}

/// A kill between the two renames of a checkpoint that replaces one of its name.
#[test]
fn a_checkpoint_that_was_being_replaced_still_counts() {
    let folder = written(&[7], 2);
    let (path, old) = (folder.path().join("7"), folder.path().join(".7.old"));
    fs::rename(&path, &old).expect("writable");
    fs::create_dir(folder.path().join(".7.new")).expect("writable");
    assert_eq!(list(folder.path()), [old]);
    assert_eq!(newest(folder.path()).clock.updates, 7);
    let mut writer = Writer::new(folder.path().to_owned(), 2);
    writer.tidy();
    assert_eq!(names(folder.path()), [".7.old"], "it is all there is");
    writer.write(&contents(7)).and_then(|()| writer.wait()).expect("writable");
    assert_eq!(names(folder.path()), ["7"]);
}

/// The disk lost what had just replaced it.
#[test]
fn a_checkpoint_that_was_replaced_stands_in_for_a_damaged_one() {
    let folder = written(&[6, 7], 2);
    let (path, old) = (folder.path().join("7"), folder.path().join(".7.old"));
    fs::rename(&path, &old).expect("writable");
    fs::create_dir(&path).expect("writable");
    assert_eq!(list(folder.path())[0], path);
    let Newest { loaded, damaged } = read_newest(folder.path()).expect("one is whole");
    assert_eq!(loaded.expect("there is one").path, old);
    set_aside(&damaged[0].0).expect("a writable folder");
    Writer::new(folder.path().to_owned(), 2).tidy();
    assert_eq!(names(folder.path()), [".7.old", "6", "7.damaged"]);
}

/// A kill between the rename and what follows it.
#[test]
fn what_was_left_to_do_is_done() {
    let folder = written(&[1, 2, 3], 3);
    for name in [".4.new", ".0.gone"] {
        fs::create_dir(folder.path().join(name)).expect("writable");
    }
    Writer::new(folder.path().to_owned(), 2).tidy();
    assert_eq!(names(folder.path()), ["2", "3"]);
    assert!(read(&folder.path().join("2")).is_ok() && read(&folder.path().join("3")).is_ok());
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_last_one() {
    let folder = written(&[1], 1);
    let mut writer = Writer::new(folder.path().to_owned(), 1);
    let mut failing = contents(2);
    failing.replay = Some(Box::new(|_| Err("no space left".to_owned())));
    let error = writer.write(&failing).expect_err("a full disk");
    assert!(error.contains("checkpoints") || error.contains("no space left"), "{error}");
    assert_eq!(names(folder.path()), ["1"]);
    assert_eq!(newest(folder.path()).clock.updates, 1);
}

#[test]
fn a_folder_that_has_gone_is_not_made_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("gone");
    let mut writer = Writer::new(run.join("checkpoints"), 1);
    assert!(writer.write(&contents(1)).is_err());
    assert!(!run.exists());
}
