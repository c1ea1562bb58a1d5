//! What was submitted of a study.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{Array, call};
use crate::{
    failure::{Failure, Outcome},
    run_dir::write_whole,
};

/// An array that Slurm has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The array's job id.
    pub job: String,
    /// The run of each task.
    pub runs: Vec<String>,
    /// Where it is described.
    pub folder: PathBuf,
}

impl Submission {
    /// Those described in a folder, oldest first; none if there is no such folder.
    pub fn all(slurm: &Path) -> Vec<Self> {
        numbered(slurm)
            .into_iter()
            .filter_map(|number| Self::read(slurm.join(number.to_string())))
            .collect()
    }

    /// What Slurm says of the task of a run.
    pub fn log(&self, run: &str) -> Option<PathBuf> {
        let task = self.runs.iter().position(|name| name == run)?;
        Some(self.folder.join(format!("{task}.log")))
    }

    /// `None` of one that was not submitted: half of one that was cut off.
    fn read(folder: PathBuf) -> Option<Self> {
        let job = fs::read_to_string(folder.join("job")).ok()?.trim().to_owned();
        let runs = fs::read_to_string(folder.join("runs")).ok()?;
        Some(Self { job, runs: runs.lines().map(str::to_owned).collect(), folder })
    }
}

/// Submits an array, described in a new folder below `slurm`. What Slurm refuses leaves nothing behind.
pub fn submit(array: &Array<'_>, slurm: &Path) -> Outcome<Submission> {
    if slurm.as_os_str().as_bytes().contains(&b'\\') {
        return Err(Failure::Input(format!(
            "{}: Slurm gives `\\` in a path a meaning of its own; choose another folder with --out",
            slurm.display()
        )));
    }
    let number = numbered(slurm).last().map_or(1, |last| last + 1);
    let folder = slurm.join(number.to_string());
    let submitted =
        describe(array, &folder).and_then(|()| call("sbatch", array.arguments(&folder)));
    let printed = submitted.inspect_err(|_| {
        let _left = fs::remove_dir_all(&folder);
        let _others = fs::remove_dir(slurm);
    })?;
    // `JOB`, or `JOB;CLUSTER`; sites let sbatch print words of their own before it.
    let last = printed.lines().last().unwrap_or_default();
    let job = last.split(';').next().unwrap_or_default().trim().to_owned();
    if job.is_empty() || !job.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::Run(format!("sbatch printed {printed:?}, expected a job id")));
    }
    write_whole(&folder.join("job"), format!("{job}\n").as_bytes())?;
    Ok(Submission { job, runs: array.runs.to_vec(), folder })
}

fn describe(array: &Array<'_>, folder: &Path) -> Outcome {
    fs::create_dir_all(folder)
        .map_err(|error| Failure::Input(format!("{}: {error}", folder.display())))?;
    write_whole(&folder.join("runs"), (array.runs.join("\n") + "\n").as_bytes())?;
    write_whole(&folder.join("array.sh"), array.script(folder).as_bytes())
}

fn numbered(slurm: &Path) -> Vec<u64> {
    let entries = fs::read_dir(slurm).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let mut numbers: Vec<u64> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_are_read_in_their_order_and_half_of_one_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Submission::all(&folder.path().join("slurm")), []);
        for (number, job) in [(10, Some("7")), (9, Some("5\n")), (11, None)] {
            let folder = folder.path().join(number.to_string());
            fs::create_dir(&folder).expect("writable");
            fs::write(folder.join("runs"), "a/seed0\nb/seed0\n").expect("writable");
            if let Some(job) = job {
                fs::write(folder.join("job"), job).expect("writable");
            }
        }
        let all = Submission::all(folder.path());
        assert_eq!(all.iter().map(|one| &*one.job).collect::<Vec<_>>(), ["5", "7"]);
        assert_eq!(all[1].runs, ["a/seed0", "b/seed0"]);
        assert_eq!(all[1].log("b/seed0"), Some(folder.path().join("10/1.log")));
        assert_eq!(all[1].log("c/seed0"), None);
    }
}
