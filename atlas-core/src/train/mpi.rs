//! [`Mpi`]: the processes that `mpirun` or `srun` started.

use std::sync::{Mutex, PoisonError};
use std::thread;

use bytemuck::Pod;
use candle_core::{Tensor, WithDType};
use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::send_receive_into;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Equivalence};

use super::workers::ProcessGroup;
use crate::error::{Error, Result};
use crate::tensors::with_element;

/// Bytes that are sent at a time: MPI counts them in 32 bits.
const AT_A_TIME: usize = 1 << 30;
/// The exit code of a Rust program that panics.
const PANICKED: u8 = 101;

/// The processes that `mpirun` or `srun` started, connected by MPI.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use atlas_core::train::{Mpi, Run, TrainParams, Workers};
///
/// let workers = Workers::new(Arc::new(Mpi::join()?))?;
/// let params = TrainParams { shards: 8, ..Default::default() };
/// let run = Run { params, workers, ..Default::default() };
/// // Every process trains, with `train`; the first alone saves the model.
/// # Ok::<(), atlas_core::Error>(())
/// ```
///
/// It leaves MPI when it is dropped, once every process does; in a thread that panics, it ends
/// them all instead, as a process that fails would keep the others waiting.
pub struct Mpi {
    /// Locked for each exchange: one thread at a time may be at work in MPI.
    universe: Mutex<Universe>,
    rank: usize,
    size: usize,
}

impl Mpi {
    /// Joins the processes that were started together; this one alone where nothing started it.
    ///
    /// # Errors
    /// If the process has joined before, or MPI is not for programs with threads.
    pub fn join() -> Result<Self> {
        let joined = mpi::initialize_with_threading(Threading::Serialized);
        let (universe, threading) =
            joined.ok_or_else(|| Error::new("this process has joined MPI before"))?;
        if threading < Threading::Serialized {
            return Err(Error::new(format_args!(
                "the MPI library allows {threading:?}, and not that another thread than the first \
                 uses it"
            )));
        }
        let world = universe.world();
        Ok(Self {
            rank: usize::try_from(world.rank()).map_err(Error::other)?,
            size: usize::try_from(world.size()).map_err(Error::other)?,
            universe: Mutex::new(universe),
        })
    }

    /// Ends all processes; the program that started them returns the exit code.
    pub fn abort(&self, exit_code: u8) -> ! {
        // Not through the lock: a thread that holds it may wait for a process that has failed.
        SimpleCommunicator::world().abort(exit_code.into())
    }

    /// Fills `received` with the bytes that `peer` sends for those of `sent`.
    fn exchange_bytes(&self, peer: usize, sent: &[u8], received: &mut [u8]) -> Result<()> {
        let universe = self.universe.lock().unwrap_or_else(PoisonError::into_inner);
        let world = universe.world();
        let peer = world.process_at_rank(i32::try_from(peer).map_err(Error::other)?);
        for (sent, received) in sent.chunks(AT_A_TIME).zip(received.chunks_mut(AT_A_TIME)) {
            let status = send_receive_into(sent, &peer, received, &peer);
            let bytes = usize::try_from(status.count(u8::equivalent_datatype()));
            if bytes != Ok(sent.len()) {
                return Err(Error::new(format_args!(
                    "process {} sent a tensor of another size than the {} bytes that were expected",
                    status.source_rank(),
                    sent.len()
                )));
            }
        }
        Ok(())
    }

    fn exchange_as<T: WithDType + Pod>(&self, peer: usize, tensor: &Tensor) -> Result<Tensor> {
        let sent = tensor.flatten_all()?.to_vec1::<T>()?;
        let mut received = vec![T::zero(); sent.len()];
        let (from, into) = (
            bytemuck::cast_slice(&sent),
            bytemuck::cast_slice_mut(&mut received),
        );
        self.exchange_bytes(peer, from, into)?;
        Ok(Tensor::from_vec(received, tensor.shape(), tensor.device())?)
    }
}

impl ProcessGroup for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn exchange(&self, peer: usize, tensor: &Tensor) -> Result<Tensor> {
        with_element!(tensor.dtype(), T => self.exchange_as::<T>(peer, tensor), else {
            Err(Error::new(format_args!("tensors of dtype {:?} are not sent", tensor.dtype())))
        })
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if thread::panicking() {
            self.abort(PANICKED);
        }
    }
}
