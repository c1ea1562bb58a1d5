use std::io::Write;

use super::*;
use crate::classification::files::tests::Synthetic;

/// What a user can do.
const ADVICE: &str = "; try another folder";

fn fetch_all(
    data: &Path,
    files: &'static DataFiles,
    folders: &[&Path],
) -> (Result<PathBuf, EnvError>, Vec<String>) {
    let mut lines = Vec::new();
    let sources: Vec<_> = folders.iter().map(|folder| folder::source(folder, files)).collect();
    let result = fetch_into(files, data.join("set"), &sources, ADVICE, &mut |line| {
        lines.push(line.to_owned());
    });
    (result, lines)
}

fn folders() -> (tempfile::TempDir, tempfile::TempDir) {
    (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"))
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(bytes).expect("zipped");
    zip.finish().expect("zipped")
}

#[test]
fn files_with_the_wrong_checksum_are_refused_and_nothing_is_kept() {
    let (data, from) = folders();
    let set = Synthetic::idx();
    for file in set.files.all() {
        fs::write(from.path().join(file.name), "something else").expect("written");
    }
    let (result, _) = fetch_all(data.path(), set.files, &[from.path()]);
    let error = result.expect_err("wrong files").to_string();
    assert!(
        error.contains("train-images has sha256") && error.ends_with("); try another folder"),
        "{error}"
    );
    assert!(fs::read_dir(data.path()).expect("a folder").next().is_none());
}

#[test]
fn every_source_that_failed_is_named_with_its_reason() {
    let (data, empty) = folders();
    let set = Synthetic::idx();
    let (result, lines) =
        fetch_all(data.path(), set.files, &[Path::new("/nowhere/set"), empty.path()]);
    let error = result.expect_err("no source").to_string();
    assert!(error.contains("/nowhere/set cannot be read: No such file"), "{error}");
    assert_eq!(error.matches("holds neither train-images nor").count(), 1, "{error}");
    assert_eq!(lines.len(), 4);
}

/// Even root, whom permissions do not stop, cannot look below a regular file.
#[test]
fn a_folder_that_cannot_be_read_is_named_with_its_reason_and_without_advice_to_give_one() {
    let (data, from) = folders();
    let file = from.path().join("file");
    fs::write(&file, "no folder").expect("written");
    for dataset in DatasetName::ALL {
        for (folder, reason) in [
            (file.clone(), "is not a folder"),
            (file.join("below"), "cannot be read: Not a directory"),
            (from.path().join("nowhere"), "cannot be read: No such file"),
        ] {
            let expected = format!("{} {reason}", folder.display());
            let data_folder = Some(data.path().to_owned());
            let options = FetchOptions { data_folder, from: Some(folder) };
            let error = fetch(dataset, &options, &mut |_| ()).expect_err("no folder").to_string();
            assert!(error.contains(&expected) && !error.contains("--from"), "{error}");
        }
    }
}

#[test]
fn what_a_folder_holds_that_cannot_be_looked_at_is_not_taken_for_missing() {
    let (data, from) = folders();
    let loop_of_links = |name: &str| {
        let path = from.path().join(name);
        std::os::unix::fs::symlink(&path, &path).expect("a link to itself");
        path
    };
    let train = loop_of_links("train-images");
    let error = fetch_all(data.path(), Synthetic::idx().files, &[from.path()]).0;
    let error = error.expect_err("unreadable").to_string();
    assert!(error.contains(&format!("{}: Too many levels", train.display())), "{error}");
    let inner = loop_of_links("cifar-10-batches-bin");
    let options = FetchOptions {
        data_folder: Some(data.path().to_owned()),
        from: Some(from.path().to_owned()),
    };
    let error = fetch(DatasetName::Cifar10, &options, &mut |_| ()).expect_err("unreadable");
    let expected = format!("{}: Too many levels", inner.display());
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn files_in_a_folder_are_taken_raw_or_gzipped_and_only_once() {
    for set in [Synthetic::idx(), Synthetic::cifar10()] {
        let (data, from) = folders();
        for (index, (file, bytes)) in set.files.all().zip(&set.contents).enumerate() {
            let (name, bytes) = match index {
                0 => (format!("{}.gz", file.name), gzipped(bytes)),
                _ => (file.name.to_owned(), bytes.clone()),
            };
            fs::write(from.path().join(name), bytes).expect("written");
        }
        let (first, lines) = fetch_all(data.path(), set.files, &[from.path()]);
        let folder = first.expect("fetched");
        assert!(
            set.files.is_whole(&folder).expect("good data") && lines[0].starts_with("fetching")
        );
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), set.contents.len());
        let (_, lines) = fetch_all(data.path(), set.files, &[Path::new("/nowhere")]);
        assert!(lines.len() == 1 && lines[0].ends_with("with the right checksums"), "{lines:?}");
    }
}

#[test]
fn a_damaged_file_is_fetched_again() {
    let (data, from) = folders();
    let set = Synthetic::cifar10();
    set.write_into(from.path());
    let folder = fetch_all(data.path(), set.files, &[from.path()]).0.expect("fetched");
    fs::write(folder.join(set.files.train[1].name), "torn").expect("written");
    let (again, lines) = fetch_all(data.path(), set.files, &[from.path()]);
    assert!(set.files.is_whole(&again.expect("fetched")).expect("good data"));
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let (data, from) = folders();
    let set = Synthetic::idx();
    set.write_into(from.path());
    let file = data.path().join("file");
    fs::write(&file, "no folder").expect("written");
    let error = fetch_all(&file, set.files, &[from.path()]).0.expect_err("no folder").to_string();
    assert!(error.starts_with("cannot keep Synthetic: cannot make ") && error.contains("file/set"));
    let folder = data.path().join("set");
    fs::create_dir_all(folder.join("test-labels/inside")).expect("a folder in the way");
    let error = fetch_all(data.path(), set.files, &[from.path()]).0.expect_err("in the way");
    assert!(error.to_string().contains("set/test-labels: "), "{error}");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 4, "nothing is left aside");
}

#[test]
fn the_official_archive_is_taken_from_a_folder() {
    let (from, unpacked) = folders();
    let inner = unpacked.path().join("cifar-10-batches-bin");
    fs::create_dir(&inner).expect("a folder");
    for file in DatasetName::Cifar10.files().all() {
        fs::write(inner.join(file.name), "not CIFAR-10").expect("written");
    }
    let mut tar = std::process::Command::new("tar");
    tar.arg("-czf").arg(from.path().join("cifar-10-binary.tar.gz")).arg("-C").arg(unpacked.path());
    client::run(tar.arg("cifar-10-batches-bin")).expect("packed");
    for folder in [from.path(), unpacked.path(), &inner] {
        let data = tempfile::tempdir().expect("a folder");
        let options = FetchOptions {
            data_folder: Some(data.path().to_owned()),
            from: Some(folder.to_owned()),
        };
        let error = fetch(DatasetName::Cifar10, &options, &mut |_| ()).expect_err("wrong files");
        assert!(error.to_string().contains("data_batch_1.bin has sha256"), "{error}");
    }
}
