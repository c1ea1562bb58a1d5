//! The array task that a process is of.

use std::env;

use super::call;
use crate::failure::Outcome;

/// This process's task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnTask {
    /// `JOB_INDEX`. Its job id alone would not do: one of the tasks has that of the whole array.
    id: String,
    /// How often it was put back into the queue before.
    restarts: u64,
}

impl OwnTask {
    /// By the variables that Slurm sets; `None` outside of a job array.
    pub fn find() -> Option<Self> {
        let [job, index] = ["SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"].map(env::var);
        let restarts = env::var("SLURM_RESTART_COUNT").ok();
        let restarts = restarts.and_then(|count| count.parse().ok()).unwrap_or(0);
        Some(Self { id: format!("{}_{}", job.ok()?, index.ok()?), restarts })
    }

    /// `JOB_INDEX`
    pub fn id(&self) -> &str {
        &self.id
    }

    /// False if Slurm is ending the task, or has started it anew elsewhere, having given up the node of this process.
    pub fn is_running(&self) -> Outcome<bool> {
        let jobs = format!("--jobs={}", self.id);
        let printed = call("squeue", ["--noheader", "--Format=State,RestartCnt", &jobs])?;
        Ok(self.is_in(&printed))
    }

    /// Puts it back into the queue, which ends this process soon after.
    pub fn requeue(&self) -> Outcome {
        call("scontrol", ["requeue", &self.id]).map(drop)
    }

    fn is_in(&self, printed: &str) -> bool {
        let own = ["RUNNING".to_owned(), self.restarts.to_string()];
        printed.lines().any(|line| line.split_whitespace().eq(&own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_slurm_is_ending_or_has_started_anew_is_not_this_one() {
        let task = OwnTask { id: "5_0".to_owned(), restarts: 1 };
        for (printed, is_running) in [
            ("RUNNING             1                   \n", true),
            ("COMPLETING          1                   \n", false),
            ("RUNNING             2                   \n", false),
            ("RUNNING             10                  \n", false),
            ("", false),
        ] {
            assert_eq!(task.is_in(printed), is_running, "{printed}");
        }
    }
}
