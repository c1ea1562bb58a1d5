//! A job array: what `sbatch` is told, and what Slurm starts.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use super::Settings;

/// Runs of a study to be submitted as one job array. All paths go from the root.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    /// The job's name.
    pub name: &'a str,
    /// The study's folder.
    pub study: &'a Path,
    /// The names of the runs, in the order of the tasks.
    pub runs: &'a [String],
    /// At most so many at a time.
    pub at_once: Option<usize>,
    /// Threads of each.
    pub threads: usize,
    /// What else they are given.
    pub settings: &'a Settings,
    /// This program.
    pub program: &'a Path,
    /// What it loads.
    pub plugins: &'a [PathBuf],
}

impl Array<'_> {
    /// The command line of `sbatch`, for a submission in a folder.
    pub fn arguments(&self, folder: &Path) -> Vec<OsString> {
        let throttle = self.at_once.map(|count| format!("%{count}")).unwrap_or_default();
        let last = self.runs.len().saturating_sub(1);
        let mut arguments: Vec<OsString> = vec![
            "--parsable".into(),
            format!("--array=0-{last}{throttle}").into(),
            format!("--job-name={}", self.name).into(),
            "--requeue".into(),
            "--open-mode=append".into(),
            "--nodes=1".into(),
            "--ntasks=1".into(),
            joined(&["--output=".as_ref(), &pattern(folder), "/%a.log".as_ref()]),
        ];
        arguments.extend(self.settings.options(self.threads));
        arguments.push(folder.join("array.sh").into());
        arguments
    }

    /// What Slurm starts. The shell becomes the program, so that signals to the batch step reach it.
    pub fn script(&self, folder: &Path) -> OsString {
        let mut script = OsString::from(
            "#!/bin/sh\n# Made by `pliant study run --engine slurm`: task K makes the run in line K + 1 of `runs`.\n",
        );
        script.push("run=$(sed -n \"$((SLURM_ARRAY_TASK_ID + 1))p\" ");
        script.push(quoted(folder.join("runs").as_os_str()));
        script.push(") || exit\nexec ");
        script.push(quoted(self.program.as_os_str()));
        for plugin in self.plugins {
            script.push(" --plugin ");
            script.push(quoted(plugin.as_os_str()));
        }
        script.push(" study one --requeue ");
        script.push(quoted(self.study.as_os_str()));
        script.push(" \"$run\"\n");
        script
    }
}

/// A word that a shell reads as this text.
fn quoted(text: &OsStr) -> OsString {
    let mut bytes = vec![b'\''];
    for byte in text.as_bytes() {
        match byte {
            b'\'' => bytes.extend(br"'\''"),
            other => bytes.push(*other),
        }
    }
    bytes.push(b'\'');
    OsString::from_vec(bytes)
}

/// A path in which Slurm finds nothing to replace.
fn pattern(path: &Path) -> OsString {
    let doubled = |byte: &u8| if *byte == b'%' { vec![b'%', b'%'] } else { vec![*byte] };
    OsString::from_vec(path.as_os_str().as_bytes().iter().flat_map(doubled).collect())
}

fn joined(parts: &[&OsStr]) -> OsString {
    parts.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

    use super::*;

    const STUDY: &str = "/a b/it's %j";

    fn array<'a>(runs: &'a [String], settings: &'a Settings, plugins: &'a [PathBuf]) -> Array<'a> {
        let (study, program) = (Path::new(STUDY), Path::new("/opt/pli ant/pliant"));
        Array {
            name: "pliant-small",
            study,
            runs,
            at_once: Some(3),
            threads: 2,
            settings,
            program,
            plugins,
        }
    }

    fn runs(count: usize) -> Vec<String> {
        (0..count).map(|seed| format!("none/seed{seed}")).collect()
    }

    #[test]
    fn sbatch_is_told_of_every_run_and_signs_in_a_path_stay_signs() {
        let (runs, settings) = (runs(8), Settings::default());
        let folder = Path::new(STUDY).join("slurm/1");
        let arguments = array(&runs, &settings, &[]).arguments(&folder);
        let wanted = [
            "--parsable",
            "--array=0-7%3",
            "--job-name=pliant-small",
            "--requeue",
            "--open-mode=append",
            "--nodes=1",
            "--ntasks=1",
            "--output=/a b/it's %%j/slurm/1/%a.log",
            "--cpus-per-task=2",
            "--signal=B:USR1@120",
            "/a b/it's %j/slurm/1/array.sh",
        ];
        assert_eq!(arguments, wanted);
        let unbounded = Array { at_once: None, ..array(&runs[..1], &settings, &[]) };
        assert_eq!(unbounded.arguments(&folder)[1], "--array=0-0");
    }

    /// By a shell, with a program that tells what it was started with.
    #[test]
    fn the_script_hands_over_its_tasks_run_whatever_the_paths_are() {
        let root = tempfile::tempdir().expect("a folder");
        let study = root.path().join("it's \"a\" $HOME `b` %j");
        let (folder, program) = (study.join("slurm/1"), study.join("pli ant"));
        fs::create_dir_all(&folder).expect("writable");
        fs::write(&program, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").expect("writable");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
        let (runs, settings) = (runs(3), Settings::default());
        fs::write(folder.join("runs"), runs.join("\n") + "\n").expect("writable");
        let plugins = [PathBuf::from("/x y/lib.so")];
        let array = Array { study: &study, program: &program, ..array(&runs, &settings, &plugins) };
        fs::write(folder.join("array.sh"), array.script(&folder).as_bytes()).expect("writable");
        let mut shell = Command::new("sh");
        let told = shell.arg(folder.join("array.sh")).env("SLURM_ARRAY_TASK_ID", "1").output();
        let wanted = format!(
            "--plugin\n/x y/lib.so\nstudy\none\n--requeue\n{}\nnone/seed1\n",
            study.display()
        );
        assert_eq!(String::from_utf8_lossy(&told.expect("a shell").stdout), wanted);
    }
}
