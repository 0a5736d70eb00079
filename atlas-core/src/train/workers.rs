//! The processes that train one model together, and what they agree on.

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};

/// Processes that can exchange tensors, two at a time: those of MPI, or of another library that
/// connects them.
///
/// All processes make the same calls in the same order. A process that fails ends the others, or
/// their next exchange fails: none waits for it for ever.
pub trait ProcessGroup: Send + Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// Sends `tensor` to the process of rank `peer`, and returns the tensor of the same shape and
    /// dtype that `peer` sends at the same time. It is on the device of `tensor`.
    ///
    /// # Errors
    /// If `peer` cannot be reached, or sends something else. An implementation may end the process
    /// instead, as MPI does.
    fn exchange(&self, peer: usize, tensor: &Tensor) -> Result<Tensor>;
}

/// The processes that train one model together; by default this one alone.
///
/// Each process runs the same program with the same model, examples and [`Run`](super::Run), and
/// gets the same trained model.
#[derive(Clone, Default)]
pub struct Workers(Option<Arc<dyn ProcessGroup>>);

impl Workers {
    /// The processes of a group.
    ///
    /// # Errors
    /// If their number is not a power of two: they could not share the shards of a batch evenly.
    pub fn new(group: Arc<dyn ProcessGroup>) -> Result<Self> {
        let size = group.size();
        if size.is_power_of_two() {
            return Ok(Self(Some(group)));
        }
        Err(Error::new(format_args!(
            "{size} processes: expected a power of two, so that they share the work of a batch evenly"
        )))
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |group| group.rank())
    }

    /// The number of processes.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |group| group.size())
    }

    /// Whether `flag` is true in any process. Returns once every process has called it.
    ///
    /// # Errors
    /// If a process cannot be reached.
    pub fn any(&self, flag: bool) -> Result<bool> {
        let flags = self.sum(Tensor::new(&[u32::from(flag)], &Device::Cpu)?)?;
        Ok(flags.to_vec1::<u32>()? != [0])
    }

    /// The number that process 0 gives.
    pub(super) fn number_of_first(&self, number: f64) -> Result<f64> {
        let number = if self.rank() == 0 { number } else { 0.0 };
        let sum = self.sum(Tensor::new(&[number], &Device::Cpu)?)?;
        Ok(sum.to_vec1::<f64>()?[0])
    }

    /// Checks that all processes hold the same of everything, given as what it is called and its
    /// content.
    ///
    /// # Errors
    /// If another process holds something else; the message names what differs and the processes.
    /// Processes that the difference does not show to go on, into an exchange that fails.
    pub fn check_equal(&self, held: &[(&str, &[u8])]) -> Result<()> {
        let Some(group) = &self.0 else { return Ok(()) };
        let own: Vec<[u8; 32]> = held
            .iter()
            .map(|(_, content)| *blake3::hash(content).as_bytes())
            .collect();
        let sent = Tensor::from_vec(own.concat(), (own.len(), 32), &Device::Cpu)?;
        let rank = group.rank();
        for peer in peers(rank, group.size()) {
            let received = group.exchange(peer, &sent)?.to_vec2::<u8>()?;
            let differing = held.iter().zip(&own).zip(&received);
            let differing: Vec<&str> = differing
                .filter(|((_, own), received)| own.as_slice() != received.as_slice())
                .map(|(((name, _), _), _)| *name)
                .collect();
            if !differing.is_empty() {
                let (first, second) = (rank.min(peer), rank.max(peer));
                return Err(Error::new(format_args!(
                    "the processes {first} and {second} differ in {}: all of them need the same",
                    differing.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// The sum over all processes of a vector, to the bit the same in each: first of two neighbours,
    /// then of two pairs, and so on. With shards of a batch in the order of the ranks it goes on with
    /// the tree in which a process adds its own.
    ///
    /// Recursive halving leaves each process with its part of the sum, and recursive doubling brings
    /// the parts together (Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication
    /// Operations in MPICH", 2005): a process sends less than two vectors, however many there are.
    fn sum(&self, vector: Tensor) -> Result<Tensor> {
        let Some(group) = &self.0 else {
            return Ok(vector);
        };
        let (rank, size, elements) = (group.rank(), group.size(), vector.elem_count());
        let mut part = vector.pad_with_zeros(0, 0, elements.next_multiple_of(size) - elements)?;
        for peer in peers(rank, size) {
            let half = part.elem_count() / 2;
            let (lower, upper) = (part.narrow(0, 0, half)?, part.narrow(0, half, half)?);
            let (own, other) = if rank < peer {
                (lower, upper)
            } else {
                (upper, lower)
            };
            part = (own + group.exchange(peer, &other)?)?;
        }
        for peer in peers(rank, size).rev() {
            let other = group.exchange(peer, &part)?;
            let halves = if rank < peer {
                [part, other]
            } else {
                [other, part]
            };
            part = Tensor::cat(&halves, 0)?;
        }
        Ok(part.narrow(0, 0, elements)?)
    }

    /// The [`sum`](Self::sum)s of several tensors, in one message for each of their dtypes.
    pub(super) fn sum_all(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>> {
        if self.size() == 1 {
            return Ok(tensors);
        }
        let mut dtypes: Vec<DType> = Vec::new();
        for tensor in &tensors {
            if !dtypes.contains(&tensor.dtype()) {
                dtypes.push(tensor.dtype());
            }
        }
        for dtype in dtypes {
            let mut of_dtype: Vec<&mut Tensor> = tensors
                .iter_mut()
                .filter(|tensor| tensor.dtype() == dtype)
                .collect();
            let flat = of_dtype.iter().map(|tensor| tensor.flatten_all());
            let flat = flat.collect::<candle_core::Result<Vec<_>>>()?;
            let sums = self.sum(Tensor::cat(&flat, 0)?)?;
            let mut begin = 0;
            for tensor in &mut of_dtype {
                let elements = tensor.elem_count();
                **tensor = sums
                    .narrow(0, begin, elements)?
                    .reshape(tensor.shape().clone())?;
                begin += elements;
            }
        }
        Ok(tensors)
    }
}

/// The ranks that a process of a group of `size` exchanges with, from its neighbour on; `size` is a
/// power of two.
fn peers(rank: usize, size: usize) -> impl DoubleEndedIterator<Item = usize> {
    (0..size.ilog2()).map(move |round| rank ^ (1 << round))
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workers({} of {})", self.rank(), self.size())
    }
}
