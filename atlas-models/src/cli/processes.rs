//! The processes that a command runs in: this one, or those that `mpirun` or `srun` started.

use std::env;
#[cfg(feature = "mpi")]
use std::{sync::Arc, thread, time::Duration};

use atlas_core::train::Workers;
#[cfg(feature = "mpi")]
use atlas_core::train::{Mpi, ProcessGroup};

use crate::cli::failure::{Failure, Result};
use crate::cli::slurm;
#[cfg(feature = "mpi")]
use crate::cli::terminal::{interrupt, output};

/// What launchers of MPI's processes set to their number: Open MPI's, and MPICH's and Slurm's own.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// What `srun --mpi=pmix` sets for processes that MPI can connect.
#[cfg(feature = "mpi")]
const PMIX: &str = "PMIX_RANK";
/// Time in which a process says what those after it have found, too.
#[cfg(feature = "mpi")]
const EARLIER_SPEAKS: Duration = Duration::from_secs(2);

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
        let mut sizes = SIZES.iter().chain([&slurm::STEP_TASKS]);
        let started = sizes.find_map(|name| env::var(name).ok()?.parse().ok());
        let processes = Self::connect(started.unwrap_or(1))?;
        if processes.workers.size() == 1 {
            slurm::warn_of_unused_srun();
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
        let unconnected = |size: usize| {
            Failure::new(format_args!(
                "{started} processes were started, and MPI connects {size} of them: `mpirun`, or `srun \
                 --mpi=pmix`, starts processes that it connects"
            ))
        };
        let mut launched = SIZES.iter().chain([&PMIX]);
        // Without a launcher, MPI ends a program that it finds in a job of Slurm.
        if !launched.any(|name| env::var_os(name).is_some()) {
            if started > 1 {
                return Err(unconnected(1));
            }
            return Ok(Self {
                workers: Workers::default(),
                mpi: None,
            });
        }
        let mpi = Arc::new(Mpi::join()?);
        let (rank, size) = (mpi.rank(), mpi.size());
        if rank > 0 {
            output::be_silent(format!("process {rank} of {size}"));
        }
        let of_signals = Arc::downgrade(&mpi);
        interrupt::end_by(move |exit_code| {
            if let Some(mpi) = of_signals.upgrade().filter(|mpi| mpi.size() > 1) {
                mpi.abort(exit_code);
            }
        });
        let workers = if size < started {
            Err(unconnected(size))
        } else {
            Workers::new(mpi.clone()).map_err(Failure::from)
        };
        let workers = workers.unwrap_or_else(|failure| end_all(&mpi, failure));
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
            return Ok(result.unwrap_or_else(|failure| end_all(mpi, failure)));
        }
        result
    }
}

/// Says why this process failed, and ends all. What several have found, one says.
#[cfg(feature = "mpi")]
fn end_all(mpi: &Mpi, failure: Failure) -> ! {
    let earlier = u32::try_from(mpi.rank().min(4)).unwrap_or(4);
    thread::sleep(EARLIER_SPEAKS * earlier);
    mpi.abort(failure.report())
}
