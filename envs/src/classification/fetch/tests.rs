use std::io::Write;

use super::*;
use crate::classification::files::tests::Synthetic;

fn fetch_all(
    data: &Path,
    files: &'static DataFiles,
    folders: &[&Path],
) -> (Result<PathBuf, EnvError>, Vec<String>) {
    let mut lines = Vec::new();
    let sources: Vec<_> = folders.iter().map(|folder| folder::source(folder, files)).collect();
    let result =
        fetch_into(files, data.join("set"), &sources, &mut |line| lines.push(line.to_owned()));
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
        error.contains("train-images has sha256") && error.contains("--from FOLDER"),
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
    assert_eq!(error.matches("holds neither train-images nor").count(), 2, "{error}");
    assert_eq!(lines.len(), 4);
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
        assert!(is_complete(set.files, &folder) && lines[0].starts_with("fetching"));
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
    assert!(is_complete(set.files, &again.expect("fetched")) && lines.len() == 2);
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
