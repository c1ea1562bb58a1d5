//! Runs as tasks of Slurm job arrays.
//!
//! Slurm is reached by its own programs, found on the PATH: `sbatch` submits, `squeue` says what is queued, `scontrol`
//! puts a task back. What was submitted lies in a folder of the study:
//!
//! ```text
//! N/array.sh   what Slurm starts for every task of the N-th array
//! N/runs       line K + 1 names the run of task K
//! N/name       what its job is called in Slurm, as no other is
//! N/job        the array's job id, once it is known that Slurm has it
//! N/K.log      what Slurm says of task K
//! ```

mod array;
mod queue;
mod settings;
mod submission;
mod task;

use std::{
    ffi::{OsStr, OsString},
    io,
    process::{Command, Stdio},
};

pub use array::Array;
pub use queue::{Queue, Queued};
pub use settings::Settings;
pub use submission::{Submission, submit};
pub use task::OwnTask;

use crate::failure::{Failure, Outcome};

/// An error if Slurm is not here, or is not set up.
pub fn check() -> Outcome {
    for program in ["sbatch", "squeue", "scontrol"] {
        call(program, ["--version"])?;
    }
    Ok(())
}

/// Runs one of Slurm's programs and returns what it printed. An error of input names the program and has its words.
fn call<I: IntoIterator<Item: AsRef<OsStr>>>(program: &str, arguments: I) -> Outcome<String> {
    let arguments: Vec<OsString> =
        arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Input(format!(
            "slurm: there is no `{program}` on the PATH; expected a machine from which jobs are submitted to Slurm \
             (`--engine local` runs a study on this machine)"
        )),
        _ => Failure::Input(format!("slurm: {program} cannot be started: {error}")),
    })?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&ran.stderr);
    let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let words = if words.is_empty() { ran.status.to_string() } else { words.join("; ") };
    Err(Failure::Input(format!("slurm: {words}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_and_one_that_refuses_are_told() {
        let missing = call("no-such-sbatch", ["x"]).expect_err("missing").to_string();
        assert!(missing.contains("`no-such-sbatch`") && missing.contains("--engine local"));
        let refused = call("sh", ["-c", "echo 'sbatch: error: no' >&2; echo >&2; exit 1"]);
        let refused = refused.expect_err("refused");
        assert_eq!(refused.to_string(), "slurm: sbatch: error: no");
        assert_eq!(refused.exit_code(), 2);
        let silent = call("sh", ["-c", "exit 3"]).expect_err("refused").to_string();
        assert_eq!(silent, "slurm: exit status: 3");
        assert_eq!(call("echo", ["5;cluster"]).ok().as_deref(), Some("5;cluster\n"));
    }
}
