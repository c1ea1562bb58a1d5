//! What was submitted of a study.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
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

    /// `None` of one that Slurm has not taken, as far as is known.
    fn read(folder: PathBuf) -> Option<Self> {
        let job = fs::read_to_string(folder.join("job")).ok()?.trim().to_owned();
        let runs = fs::read_to_string(folder.join("runs")).ok()?;
        Some(Self { job, runs: runs.lines().map(str::to_owned).collect(), folder })
    }
}

/// Submits an array, described in a new folder below `slurm`. Its job has a name that no other has, which is written down
/// before: whatever becomes of the call, or of this program, [`adopt`] finds by it what Slurm has taken.
pub fn submit(array: &Array<'_>, slurm: &Path) -> Outcome<Submission> {
    if slurm.as_os_str().as_bytes().contains(&b'\\') {
        return Err(Failure::Input(format!(
            "{}: Slurm gives `\\` in a path a meaning of its own; choose another folder with --out",
            slurm.display()
        )));
    }
    let number = numbered(slurm).last().map_or(1, |last| last + 1);
    let folder = slurm.join(number.to_string());
    let name = unique(array.name);
    describe(&Array { name: &name, ..array.clone() }, &folder)?;
    let printed = call("sbatch", Array { name: &name, ..array.clone() }.arguments(&folder));
    if let Some(job) = printed.as_ref().ok().and_then(|printed| job_id(printed)) {
        write_whole(&folder.join("job"), format!("{job}\n").as_bytes())?;
    } else {
        adopt(slurm)?;
    }
    match (Submission::read(folder), printed) {
        (Some(submission), _) => Ok(submission),
        (None, Err(failure)) => Err(failure),
        (None, Ok(printed)) => Err(Failure::Run(format!(
            "sbatch printed {printed:?}, expected a job id, and Slurm has no job of the name {name}"
        ))),
    }
}

/// Takes up what Slurm has of submissions of which it is not known whether it took them.
pub(super) fn adopt(slurm: &Path) -> Outcome {
    let folders = numbered(slurm).into_iter().map(|number| slurm.join(number.to_string()));
    let unknown: Vec<(PathBuf, String)> = folders
        .filter(|folder| !folder.join("job").exists())
        .filter_map(|folder| {
            let name = fs::read_to_string(folder.join("name")).ok()?.trim().to_owned();
            Some((folder, name))
        })
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = unknown.iter().map(|(_, name)| &**name).collect();
    let names = format!("--name={}", names.join(","));
    let printed = call("squeue", ["--noheader", "--format=%j|%F", &names])?;
    for (folder, name) in &unknown {
        let job = printed.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}|")));
        if let Some(job) = job.and_then(job_id) {
            write_whole(&folder.join("job"), format!("{job}\n").as_bytes())?;
        }
    }
    Ok(())
}

/// `JOB`, or `JOB;CLUSTER`; sites let sbatch print words of their own before and after it.
fn job_id(printed: &str) -> Option<String> {
    let is_number =
        |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let first =
        |line: &str| line.split(';').next().map(str::trim).filter(is_number).map(str::to_owned);
    printed.lines().find_map(first)
}

/// A name with something behind it that no other job has.
fn unique(name: &str) -> String {
    let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    format!("{name}-{:x}-{:x}", now, std::process::id())
}

fn describe(array: &Array<'_>, folder: &Path) -> Outcome {
    fs::create_dir_all(folder)
        .map_err(|error| Failure::Input(format!("{}: {error}", folder.display())))?;
    write_whole(&folder.join("name"), array.name.as_bytes())?;
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
    fn a_job_id_is_found_among_the_words_of_a_site() {
        for (printed, id) in [
            ("71\n", Some("71")),
            ("welcome\n72;cluster\nbe nice, 3 days\n", Some("72")),
            ("queued as 5\n", None),
            ("", None),
        ] {
            assert_eq!(job_id(printed).as_deref(), id, "{printed}");
        }
    }

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
