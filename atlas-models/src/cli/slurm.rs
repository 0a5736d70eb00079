//! What Slurm tells the programs that it runs, and what they ask of it.

use std::env;
use std::process::Command;

use crate::cli::failure::{Failure, Result};
use crate::cli::terminal::output;

/// The number of processes that `srun` started together.
pub const STEP_TASKS: &str = "SLURM_STEP_NUM_TASKS";
/// The number of processes that the job asked for.
const TASKS: &str = "SLURM_NTASKS";
const JOB: &str = "SLURM_JOB_ID";
/// Names of jobs in which somebody types commands.
const INTERACTIVE: [&str; 2] = ["bash", "interactive"];

/// The job that this process belongs to, as `scontrol` names it; an element of an array has a name
/// of its own. `None` outside of Slurm and where somebody types the commands.
pub fn batch_job() -> Option<String> {
    let job = env::var(JOB).ok()?;
    let name = env::var("SLURM_JOB_NAME").unwrap_or_default();
    if INTERACTIVE.contains(&name.as_str()) {
        return None;
    }
    let array = env::var("SLURM_ARRAY_JOB_ID").ok();
    let element = array.zip(env::var("SLURM_ARRAY_TASK_ID").ok());
    Some(element.map_or(job, |(array, task)| format!("{array}_{task}")))
}

/// Asks Slurm to put the job back into its queue, which ends it.
///
/// # Errors
/// If Slurm refuses.
pub fn requeue(job: &str) -> Result {
    let failed = |why: &str| {
        Failure::new(format_args!(
            "`scontrol requeue {job}` failed: {}; the checkpoint is whole",
            why.trim()
        ))
    };
    let run = Command::new("scontrol").args(["requeue", job]).output();
    let run = run.map_err(|error| failed(&error.to_string()))?;
    if run.status.success() {
        Ok(())
    } else {
        Err(failed(&String::from_utf8_lossy(&run.stderr)))
    }
}

/// Says that a batch job runs this process without `srun`.
pub fn warn_of_unused_srun() {
    if batch_job().is_none() || env::var_os(STEP_TASKS).is_some() {
        return;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    if !env::split_paths(&path).any(|folder| folder.join("srun").is_file()) {
        return;
    }
    let tasks = env::var(TASKS).unwrap_or_else(|_| "1".to_owned());
    output::say(&format_args!(
        "this job has {tasks} of Slurm's tasks, and `srun` was not used: one process runs, and the \
         signals that Slurm sends to tasks do not reach it; `srun atlas …` has both"
    ));
}
