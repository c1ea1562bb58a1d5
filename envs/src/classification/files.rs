//! The data sets' files with their checksums, and reading them.

use std::{
    fs,
    io::{self, ErrorKind, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::{Dataset, Split, cifar10, dataset::LabelledImages, idx};
use crate::env::EnvError;

/// Every data set here has ten classes.
const CLASSES: usize = 10;

/// No file of a data set is larger, packed or unpacked.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 28;

/// One file.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataFile {
    pub name: &'static str,
    /// Of the file as it lies in the data folder, in lower-case hexadecimal digits.
    pub sha256: &'static str,
}

/// How files hold images.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    /// A file of images, a file of labels.
    Idx,
    /// Any number of batches.
    Cifar10,
}

/// The files of one data set.
#[derive(Debug)]
pub(super) struct DataFiles {
    /// As configurations, commands and the data folder write it.
    pub name: &'static str,
    /// As people write it.
    pub title: &'static str,
    pub format: Format,
    pub train: &'static [DataFile],
    pub test: &'static [DataFile],
}

const fn file(name: &'static str, sha256: &'static str) -> DataFile {
    DataFile { name, sha256 }
}

pub(super) const MNIST: DataFiles = DataFiles {
    name: "mnist",
    title: "MNIST",
    format: Format::Idx,
    train: &[
        file(
            "train-images-idx3-ubyte",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        file(
            "train-labels-idx1-ubyte",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
    ],
    test: &[
        file(
            "t10k-images-idx3-ubyte",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        file(
            "t10k-labels-idx1-ubyte",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ],
};

/// Sums of files with the MD5s that the authors' archive has: they begin with 5dd7e06a, 5ea93a67,
/// 942cd6a4, ae636b3b, 53f37980 and 803d5f7f.
pub(super) const CIFAR10: DataFiles = DataFiles {
    name: "cifar10",
    title: "CIFAR-10",
    format: Format::Cifar10,
    train: &[
        file(
            "data_batch_1.bin",
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        ),
        file(
            "data_batch_2.bin",
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        ),
        file(
            "data_batch_3.bin",
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        ),
        file(
            "data_batch_4.bin",
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        ),
        file(
            "data_batch_5.bin",
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        ),
    ],
    test: &[file(
        "test_batch.bin",
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    )],
};

/// Sums of files whose published gzip archives have the MD5s 8d4fb7e6c68d591d4c3dfef9ec88bf0d,
/// 25c81989df183df01b3e8a0aad5dffbe, bef4ecab320f06d8554ea6380940ec79 and
/// bb300cfdad3c16e7a12a480ee83cd310. Debian packs the same files without their names and times;
/// with these put back, its archives have those MD5s too.
pub(super) const FASHION_MNIST: DataFiles = DataFiles {
    name: "fashion_mnist",
    title: "Fashion-MNIST",
    format: Format::Idx,
    train: &[
        file(
            "train-images-idx3-ubyte",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        file(
            "train-labels-idx1-ubyte",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
    ],
    test: &[
        file(
            "t10k-images-idx3-ubyte",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        file(
            "t10k-labels-idx1-ubyte",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ],
};

impl DataFiles {
    /// Those of one split.
    pub(super) fn of(&self, split: Split) -> &'static [DataFile] {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }

    /// Those of both splits, in the order in which they are fetched.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static DataFile> {
        self.train.iter().chain(self.test)
    }

    /// Reads one split from the folder that holds its files, their checksums checked.
    pub(super) fn load(&self, folder: &Path, split: Split) -> Result<Dataset, EnvError> {
        let bytes = self.of(split).iter().map(|file| self.read(folder, file));
        let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
        let found = self.parse(bytes).map_err(|reason| {
            EnvError::Invalid(format!("{} in {}: {reason}", self.title, folder.display()))
        })?;
        Dataset::new(found.shape, found.images, &found.labels, CLASSES)
    }

    /// True if all files are in the folder, false if none is; an error if what is there cannot be used.
    pub(super) fn is_whole(&self, folder: &Path) -> Result<bool, EnvError> {
        if self.is_absent(folder)? {
            return Ok(false);
        }
        self.all().try_for_each(|file| self.read(folder, file).map(drop))?;
        Ok(true)
    }

    fn is_absent(&self, folder: &Path) -> Result<bool, EnvError> {
        for path in self.all().map(|file| folder.join(file.name)) {
            if path.try_exists().map_err(|error| unreadable(&path, &error))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn parse(&self, files: Vec<Vec<u8>>) -> Result<LabelledImages, String> {
        match self.format {
            Format::Idx => idx::labelled_images(&files),
            Format::Cifar10 => cifar10::parse(files),
        }
    }

    fn read(&self, folder: &Path, file: &DataFile) -> Result<Vec<u8>, EnvError> {
        let path = folder.join(file.name);
        let bytes = bytes_of(&path).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                EnvError::Invalid(self.is_missing(folder, file))
            } else {
                unreadable(&path, &error)
            }
        })?;
        let found = sha256(&bytes);
        if found == file.sha256 {
            return Ok(bytes);
        }
        Err(EnvError::Invalid(format!(
            "{} has sha256 {found}, not {}'s {}: remove it and run `pliant fetch {}`",
            path.display(),
            self.title,
            file.sha256,
            self.name
        )))
    }

    fn is_missing(&self, folder: &Path, file: &DataFile) -> String {
        let (title, name, folder) = (self.title, self.name, folder.display());
        format!(
            "{title} is not in {folder} (there is no {file}): run `pliant fetch {name}`, or set PLIANT_DATA to the folder that holds {name}/{file}",
            file = file.name
        )
    }
}

/// A file's content; an error if it has more than any file of a data set, or no end.
pub(super) fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("more than {MAX_FILE_BYTES} bytes, more than any data set here");
        return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> EnvError {
    EnvError::Invalid(format!("{} cannot be read: {error}", path.display()))
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests;
