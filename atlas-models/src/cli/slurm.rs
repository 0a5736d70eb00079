//! What Slurm tells the programs that it runs, and what they ask of it.

use std::env;
use std::process::Command;

use crate::cli::failure::{Failure, Result, usage};
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
fn job() -> Option<String> {
    let job = env::var(JOB).ok()?;
    let name = env::var("SLURM_JOB_NAME").unwrap_or_default();
    if INTERACTIVE.contains(&name.as_str()) {
        return None;
    }
    let array = env::var("SLURM_ARRAY_JOB_ID").ok();
    let element = array.zip(env::var("SLURM_ARRAY_TASK_ID").ok());
    Some(element.map_or(job, |(array, task)| format!("{array}_{task}")))
}

/// The job that `--requeue` puts back into the queue.
///
/// # Errors
/// If there is none that could be.
pub fn job_to_requeue() -> Result<String> {
    let refused = |why: &str| {
        usage(Failure::new(format_args!(
            "--requeue: this is no batch job of Slurm that could be put back into its queue{why}"
        )))
    };
    let job = job().ok_or_else(|| refused(""))?;
    let shown = Command::new("scontrol")
        .args(["show", "job", &job])
        .output();
    let shown = shown.map_err(|error| refused(&format!(": `scontrol`: {error}")))?;
    if String::from_utf8_lossy(&shown.stdout).contains("BatchFlag=1") {
        Ok(job)
    } else {
        Err(refused(&format!(", by `scontrol show job {job}`")))
    }
}

/// Takes as many threads as the job has processors for each task, unless RAYON_NUM_THREADS says how
/// many: a cluster need not keep a task to its processors.
pub fn keep_to_processors() {
    let threads = env::var("SLURM_CPUS_PER_TASK")
        .ok()
        .and_then(|threads| threads.parse().ok());
    let is_said = env::var_os("RAYON_NUM_THREADS").is_some();
    if let Some(threads) = threads.filter(|_| !is_said && job().is_some()) {
        // Nothing has been computed that could have started others.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global();
    }
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
    if job().is_none() || env::var_os(STEP_TASKS).is_some() {
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
