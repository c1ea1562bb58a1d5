use std::fs;

use super::*;
use crate::classification::{DatasetName, data_folder, idx::Idx};

/// A small data set with right checksums: twenty images to learn from, ten held out.
pub(in crate::classification) struct Synthetic {
    pub(in crate::classification) files: &'static DataFiles,
    pub(in crate::classification) contents: Vec<Vec<u8>>,
}

impl Synthetic {
    /// Two IDX files for either split; images of 2x3.
    pub(in crate::classification) fn idx() -> Self {
        let pair = |count: usize, mark: usize| {
            let data = (0..count * 6).map(|at| (at + mark) as u8).collect();
            let labels = (0..count).map(|at| (at % 10) as u8).collect();
            [
                Idx { shape: vec![count, 2, 3], data }.to_bytes(),
                Idx { shape: vec![count], data: labels }.to_bytes(),
            ]
        };
        let contents = [pair(20, 0), pair(10, 100)].concat();
        let names = ["train-images", "train-labels", "test-images", "test-labels"];
        Self::new(Format::Idx, &names, contents, 2)
    }

    /// Two batches of ten records to learn from, one held out.
    pub(in crate::classification) fn cifar10() -> Self {
        let batch = |mark: u8| {
            let record = |label| cifar10::record(label, &[mark + label; cifar10::IMAGE]);
            (0..10).flat_map(record).collect::<Vec<u8>>()
        };
        Self::new(
            Format::Cifar10,
            &["batch_1", "batch_2", "test_batch"],
            vec![batch(0), batch(100), batch(200)],
            2,
        )
    }

    fn new(format: Format, names: &[&'static str], contents: Vec<Vec<u8>>, train: usize) -> Self {
        let row = |(&name, bytes): (&&'static str, &Vec<u8>)| DataFile {
            name,
            sha256: sha256(bytes).leak(),
        };
        let rows: &'static [DataFile] =
            names.iter().zip(&contents).map(row).collect::<Vec<_>>().leak();
        let (train, test) = rows.split_at(train);
        let files = DataFiles { name: "set", title: "Synthetic", format, train, test };
        Self { files: Box::leak(Box::new(files)), contents }
    }

    pub(in crate::classification) fn write_into(&self, folder: &Path) {
        for (file, bytes) in self.files.all().zip(&self.contents) {
            fs::write(folder.join(file.name), bytes).expect("written");
        }
    }

    fn error(&self, folder: &Path, split: Split) -> String {
        self.files.load(folder, split).expect_err("unusable data").to_string()
    }
}

fn written(set: &Synthetic) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    set.write_into(folder.path());
    folder
}

#[test]
fn both_formats_are_read_split_by_split() {
    for (set, len) in [(Synthetic::idx(), 6), (Synthetic::cifar10(), 3072)] {
        let folder = written(&set);
        let train = set.files.load(folder.path(), Split::Train).expect("good data");
        let test = set.files.load(folder.path(), Split::Test).expect("good data");
        assert_eq!((train.shape.len(), train.count(), test.count()), (len, 20, 10));
        assert_eq!((train.class_len(3), test.class_len(3)), (2, 1));
    }
    let set = Synthetic::cifar10();
    let train = set.files.load(written(&set).path(), Split::Train).expect("good data");
    assert_eq!((train.image(3, 0)[0], train.image(3, 1)[0]), (3, 103), "in the batches' order");
}

/// Every byte of the small files, and every cut.
#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let set = Synthetic::idx();
    for (index, (file, bytes)) in set.files.all().zip(&set.contents).enumerate() {
        let folder = written(&set);
        let split = if index < set.files.train.len() { Split::Train } else { Split::Test };
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            for damaged in [&flipped, &bytes[..at]] {
                fs::write(folder.path().join(file.name), damaged).expect("written");
                let error = set.error(folder.path(), split);
                assert!(error.contains(&format!("{} has sha256", file.name)), "{at}: {error}");
            }
        }
    }
}

#[test]
fn flipped_bytes_all_over_a_batch_are_noticed() {
    let set = Synthetic::cifar10();
    let folder = written(&set);
    let path = folder.path().join("batch_2");
    for at in (0..set.contents[1].len()).step_by(97) {
        let mut flipped = set.contents[1].clone();
        flipped[at] ^= 0x80;
        fs::write(&path, &flipped).expect("written");
        assert!(set.error(folder.path(), Split::Train).contains("batch_2 has sha256"), "{at}");
    }
    fs::write(path, &set.contents[1]).expect("written");
    set.files.load(folder.path(), Split::Train).expect("whole again");
}

/// Right checksums over wrong content: nothing that a file says is trusted.
#[test]
fn labels_out_of_range_and_counts_that_differ_are_refused() {
    let error = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut contents = Synthetic::idx().contents;
        change(&mut contents);
        let names = ["train-images", "train-labels", "test-images", "test-labels"];
        let set = Synthetic::new(Format::Idx, &names, contents, 2);
        set.error(written(&set).path(), Split::Train)
    };
    assert_eq!(error(&|files| files[1][8] = 10), "image 0 has label 10: labels are 0 to 9");
    assert_eq!(
        error(&|files| files[1] = files[3].clone()),
        "there are 20 images in 120 bytes but 10 labels"
    );
    assert!(error(&|files| files[0].truncate(30)).contains("but its header says [20, 2, 3]"));
    assert!(error(&|files| files[1][3] = 3).contains("the file of labels"));
    let mut contents = Synthetic::cifar10().contents;
    contents[0].pop();
    let set = Synthetic::new(Format::Cifar10, &["a", "b", "c"], contents, 2);
    assert!(set.error(written(&set).path(), Split::Train).contains("batch 1 has 30729 bytes"));
}

/// A path below a regular file and a folder in a file's place cannot be read even by root, whom
/// permissions do not stop.
#[test]
fn what_cannot_be_read_is_named_with_its_reason() {
    let set = Synthetic::idx();
    let folder = written(&set);
    let below = folder.path().join("test-labels/inside");
    let error = set.error(&below, Split::Train);
    assert!(error.contains("test-labels/inside/train-images cannot be read: Not a dir"), "{error}");
    let path = folder.path().join("train-labels");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("a folder");
    let error = set.error(folder.path(), Split::Train);
    assert!(error.contains("train-labels cannot be read: Is a directory"), "{error}");
    set.files.load(folder.path(), Split::Test).expect("the other split is untouched");
}

#[test]
fn missing_and_altered_files_are_answered_with_the_way_out() {
    for dataset in DatasetName::ALL {
        let data = tempfile::tempdir().expect("a folder");
        let error = || dataset.load(data.path(), Split::Train).expect_err("no data").to_string();
        let fetch = format!("run `pliant fetch {}`", dataset.name());
        assert!(error().contains(&fetch), "{}", error());
        assert!(!dataset.is_whole(data.path()).expect("nothing there is no damage"));
        let folder = data.path().join(dataset.name());
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join(dataset.files().train[0].name), "other").expect("written");
        assert!(error().contains("has sha256 d9298a10d1b07358") && error().contains(&fetch));
        assert!(dataset.is_whole(data.path()).is_err(), "damaged");
    }
}

#[test]
fn a_data_folder_that_cannot_be_looked_into_is_not_an_empty_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("written");
    let error = DatasetName::Mnist.is_whole(&file).expect_err("no folder").to_string();
    assert!(error.contains("file/mnist/train-images-idx3-ubyte cannot be read: Not a"), "{error}");
}

#[test]
fn a_data_set_is_whole_or_absent_or_damaged() {
    let set = Synthetic::cifar10();
    let folder = written(&set);
    assert!(set.files.is_whole(folder.path()).expect("good data"));
    fs::remove_file(folder.path().join("batch_1")).expect("removed");
    let error = set.files.is_whole(folder.path()).expect_err("not whole").to_string();
    assert!(error.contains("there is no batch_1"), "{error}");
    for name in ["batch_2", "test_batch"] {
        fs::remove_file(folder.path().join(name)).expect("removed");
    }
    assert!(!set.files.is_whole(folder.path()).expect("nothing is no damage"));
}

fn sizes(dataset: DatasetName, split: Split) -> Vec<usize> {
    let data = dataset
        .load(&data_folder(None), split)
        .unwrap_or_else(|error| panic!("run `pliant fetch {}` first: {error}", dataset.name()));
    (0..10).map(|class| data.class_len(class)).collect()
}

#[test]
fn the_data_sets_are_what_they_should_be() {
    use DatasetName::{Cifar10, FashionMnist, Mnist};
    assert_eq!(
        sizes(Mnist, Split::Train),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    assert_eq!(sizes(Mnist, Split::Test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert_eq!(sizes(Cifar10, Split::Train), [5000; 10]);
    assert_eq!(sizes(Cifar10, Split::Test), [1000; 10]);
    assert_eq!(sizes(FashionMnist, Split::Train), [6000; 10]);
    assert_eq!(sizes(FashionMnist, Split::Test), [1000; 10]);
}

#[test]
fn a_few_flipped_bytes_in_the_real_files_are_noticed() {
    for dataset in DatasetName::ALL {
        let here = data_folder(None).join(dataset.name());
        for file in
            [dataset.files().train.last(), dataset.files().test.last()].into_iter().flatten()
        {
            let mut bytes = fs::read(here.join(file.name))
                .unwrap_or_else(|_| panic!("run `pliant fetch {}` first", dataset.name()));
            let folder = tempfile::tempdir().expect("a folder");
            for at in [0, bytes.len() / 2, bytes.len() - 1] {
                bytes[at] ^= 4;
                fs::write(folder.path().join(file.name), &bytes).expect("written");
                let error = dataset.files().read(folder.path(), file).expect_err("damaged");
                assert!(error.to_string().contains(file.name), "{error}");
                bytes[at] ^= 4;
            }
            fs::write(folder.path().join(file.name), &bytes).expect("written");
            assert_eq!(dataset.files().read(folder.path(), file).expect("whole"), bytes);
        }
    }
}

/// A device that never ends, in a file's place.
#[test]
fn a_file_without_an_end_is_refused() {
    let set = Synthetic::idx();
    let folder = written(&set);
    let path = folder.path().join("train-images");
    fs::remove_file(&path).expect("there");
    std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
    let error = set.error(folder.path(), Split::Train);
    assert!(error.contains("train-images cannot be read: more than 268435456 bytes"), "{error}");
}
