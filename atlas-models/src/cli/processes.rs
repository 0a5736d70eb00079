//! The processes that a command runs in: this one, or those that `mpirun` or `srun` started.

use std::env;
#[cfg(feature = "mpi")]
use std::{sync::Arc, thread, time::Duration};

#[cfg(feature = "mpi")]
use atlas_core::train::Mpi;
use atlas_core::train::Workers;

use crate::cli::failure::{Failure, Result};
use crate::cli::slurm;
use crate::cli::terminal::output;

/// What launchers of MPI's processes set to their number: Open MPI, MPICH and Slurm's own.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", slurm::STEP_TASKS];
/// What is set where MPI's processes were started together, though it may be one.
#[cfg(feature = "mpi")]
const OF_LAUNCHERS: [&str; 4] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "PMIX_RANK",
    slurm::STEP_TASKS,
];
/// Time in which process 0 says what went wrong in all of them.
#[cfg(feature = "mpi")]
const FIRST_SPEAKS: Duration = Duration::from_secs(2);

/// The processes that a command runs in. All are told to leave MPI when this is dropped.
pub struct Processes {
    workers: Workers,
    #[cfg(feature = "mpi")]
    mpi: Option<Arc<Mpi>>,
}

impl Processes {
    /// Joins the processes that were started together. All but process 0 are silent from here on,
    /// unless they fail.
    ///
    /// # Errors
    /// If they cannot be reached, or are not of one build of this program.
    pub fn join() -> Result<Self> {
        let started = SIZES
            .iter()
            .filter_map(|name| env::var(name).ok()?.parse().ok());
        let started: usize = started.max().unwrap_or(1);
        let processes = Self::connect(started)?;
        let workers = &processes.workers;
        if workers.size() == 1 {
            slurm::warn_of_unused_srun();
        }
        if workers.rank() > 0 {
            output::be_silent(format!("process {} of {}", workers.rank(), workers.size()));
        }
        let same = processes.check_same_program();
        processes.or_end_all(same)?;
        Ok(processes)
    }

    #[cfg(not(feature = "mpi"))]
    fn connect(started: usize) -> Result<Self> {
        if started > 1 {
            return Err(Failure::new(format_args!(
                "{started} processes were started, and this `atlas` cannot connect them: it was built \
                 without `--features mpi`"
            )));
        }
        Ok(Self {
            workers: Workers::default(),
        })
    }

    #[cfg(feature = "mpi")]
    fn connect(started: usize) -> Result<Self> {
        if OF_LAUNCHERS.iter().all(|name| env::var_os(name).is_none()) {
            return Ok(Self {
                workers: Workers::default(),
                mpi: None,
            });
        }
        let mpi = Arc::new(Mpi::join()?);
        let workers = Workers::new(mpi.clone());
        if workers.size() < started {
            return Err(Failure::new(format_args!(
                "{started} processes were started, and MPI connects {}: `srun --mpi=pmix` or `mpirun` \
                 starts processes that it connects",
                workers.size()
            )));
        }
        Ok(Self {
            workers,
            mpi: Some(mpi),
        })
    }

    /// An error unless all processes run the same program with the same arguments.
    fn check_same_program(&self) -> Result {
        if self.workers.size() == 1 {
            return Ok(());
        }
        let program = env::current_exe().and_then(std::fs::read);
        let program = program.map_err(|error| {
            Failure::new(format_args!(
                "cannot read this program, to compare it: {error}"
            ))
        })?;
        let arguments: Vec<_> = env::args_os().skip(1).collect();
        let arguments = arguments.join(std::ffi::OsStr::new("\0"));
        Ok(self.workers.check_equal(&[
            ("the program: each has another build of Atlas", &program),
            ("the arguments of the command", arguments.as_encoded_bytes()),
        ])?)
    }

    /// What trains together.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Where several processes are at work and this one failed, says why and ends all of them: they
    /// would wait for it. Otherwise the result itself.
    pub fn or_end_all<T>(&self, result: Result<T>) -> Result<T> {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = self.mpi.as_ref().filter(|_| self.workers.size() > 1) {
            return Ok(result.unwrap_or_else(|failure| {
                if self.workers.rank() > 0 {
                    thread::sleep(FIRST_SPEAKS);
                }
                mpi.abort(failure.report())
            }));
        }
        result
    }
}
