//! What holds of training in several processes, whose part threads play.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use atlas_core::prelude::*;
use atlas_core::train::{
    Control, Dataset, Observer, Outcome, ProcessGroup, Run, StepReport, Stopped, TrainParams,
    Training, Workers, resume, train,
};
use atlas_core::{Bundle, Checkpoint, Error, Result};
use candle_core::{DType, Device, Result as CandleResult, Tensor, Var};
use candle_nn::{BatchNorm, Init, Linear, Module, ModuleT, VarBuilder, batch_norm, linear};

/// A process that a thread plays: a channel to and from each of the others.
struct Thread {
    rank: usize,
    /// The bytes of each exchange.
    sent: Arc<Mutex<Vec<usize>>>,
    to: Vec<Sender<Tensor>>,
    from: Vec<Mutex<Receiver<Tensor>>>,
}

impl ProcessGroup for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn exchange(&self, peer: usize, tensor: &Tensor) -> Result<Tensor> {
        let bytes = tensor.elem_count() * tensor.dtype().size_in_bytes();
        self.sent.lock().unwrap().push(bytes);
        let gone = || Error::new(format_args!("process {peer} is gone"));
        self.to[peer].send(tensor.copy()?).map_err(|_| gone())?;
        let received = self.from[peer].lock().unwrap().recv();
        let received = received.map_err(|_| gone())?;
        assert_eq!(
            (received.shape(), received.dtype()),
            (tensor.shape(), tensor.dtype())
        );
        Ok(received)
    }
}

/// So many processes that are connected, and what each sends.
fn processes(size: usize) -> Vec<(Workers, Arc<Mutex<Vec<usize>>>)> {
    let mut to: Vec<Vec<Sender<Tensor>>> = (0..size).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<Mutex<Receiver<Tensor>>>> = (0..size).map(|_| Vec::new()).collect();
    for to in &mut to {
        for from in &mut from {
            let (sender, receiver) = channel();
            to.push(sender);
            from.push(Mutex::new(receiver));
        }
    }
    let ends = to.into_iter().zip(from).enumerate();
    let process = |(rank, (to, from))| {
        let sent = Arc::default();
        let thread = Thread {
            rank,
            sent: Arc::clone(&sent),
            to,
            from,
        };
        (Workers::new(Arc::new(thread)).unwrap(), sent)
    };
    ends.map(process).collect()
}

/// What `work` comes to in each of so many processes.
fn in_processes<R: Send>(size: usize, work: impl Fn(Workers) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let threads = processes(size).into_iter().map(|(workers, _)| {
            let work = &work;
            scope.spawn(move || work(workers))
        });
        let threads: Vec<_> = threads.collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap());
        results.collect()
    })
}

/// A batch norm, dropout and noise; a count of evaluations, in integers.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Noisy {
    #[network(buffers = ["evaluations"])]
    net: NoisyNet,
}

struct NoisyNet {
    norm: BatchNorm,
    linear: Linear,
    evaluations: Var,
}

impl NoisyNet {
    fn new(_: &NoisyParams, vb: VarBuilder) -> CandleResult<Self> {
        let evaluations =
            vb.get_with_hints_dtype(1, "evaluations", Init::Const(0.0), DType::I64)?;
        Ok(Self {
            norm: batch_norm(3, 1e-5, vb.pp("norm"))?,
            linear: linear(3, 1, vb.pp("linear"))?,
            evaluations: Var::from_tensor(&evaluations)?,
        })
    }
}

impl Objective for Noisy {
    type Input = [f32; 3];

    fn loss(&self, batch: &[&[f32; 3]], step: &mut Step) -> Result<Loss> {
        let inputs = inputs(batch)?;
        let normed = self.net.norm.forward_t(&inputs, step.is_training())?;
        let hidden = step.dropout(&normed, 0.25)?;
        let noise = step.normal(hidden.shape(), hidden.dtype(), hidden.device())?;
        let outputs = self.net.linear.forward(&(hidden + (noise * 0.1)?)?)?;
        let evaluations = &self.net.evaluations;
        evaluations.set(&(evaluations.as_tensor() + 1.0)?)?;
        let error = (&outputs - inputs.sum_keepdim(1)?)?.sqr()?.mean_all()?;
        let spread = outputs.sqr()?.mean_all()?;
        Ok(Loss {
            total: (&error + (&spread * 0.01)?)?,
            parts: vec![("error".into(), error), ("spread".into(), spread)],
        })
    }
}

fn inputs(batch: &[&[f32; 3]]) -> CandleResult<Tensor> {
    let rows: Vec<f32> = batch.iter().flat_map(|row| **row).collect();
    Tensor::from_vec(rows, (batch.len(), 3), &Device::Cpu)
}

fn examples() -> Vec<[f32; 3]> {
    let example = |number: usize| [0, 1, 2].map(|at| ((number * 7 + at * 5) % 11) as f32 / 11.0);
    (0..57).map(example).collect()
}

/// Nine steps of 19 examples, whose shards have two or more, but not all as many.
fn run(shards: usize, workers: Workers) -> Run {
    let params = TrainParams {
        epochs: 3,
        batch: 19,
        shards,
        learning_rate: 0.03,
        warm_up: 3,
        ..Default::default()
    };
    Run {
        params,
        seed: 9,
        workers,
        ..Default::default()
    }
}

fn model() -> Model<Noisy> {
    Noisy::create_with(NoisyParams::default(), CreateOptions::new().seed(2)).unwrap()
}

/// What a step is told of, but for the time.
type StepNumbers = (u64, u64, Vec<(String, u64)>, u64);

/// Keeps what it is told and stops a process after a step.
#[derive(Default)]
struct Notes {
    steps: Vec<StepNumbers>,
    stop_after: Option<u64>,
    stopped_by_others: usize,
    checkpoint: Option<Checkpoint>,
}

impl<M: ?Sized> Observer<M> for Notes {
    fn on_step(
        &mut self,
        _: &mut M,
        step: &StepReport,
        training: &Training<'_>,
    ) -> Result<Control> {
        let parts = step.parts.iter();
        self.steps.push((
            step.step,
            step.loss.to_bits(),
            parts
                .map(|(name, part)| (name.clone(), part.to_bits()))
                .collect(),
            step.gradient_norm.to_bits(),
        ));
        if self.stop_after == Some(step.step) {
            self.checkpoint = Some(training.checkpoint()?);
            return Ok(Control::Stop);
        }
        Ok(Control::Continue)
    }

    fn on_stop(&mut self, _: &mut M, training: &Training<'_>) -> Result<()> {
        self.stopped_by_others += 1;
        self.checkpoint = Some(training.checkpoint()?);
        Ok(())
    }
}

/// The digest of a model that is trained to the end, and what was told of each step.
fn trained(run: &Run) -> (String, Vec<StepNumbers>) {
    let (mut model, mut notes) = (model(), Notes::default());
    train(&mut model, &examples(), run, &mut notes).unwrap();
    (model.digest().unwrap(), notes.steps)
}

#[test]
fn any_number_of_processes_trains_the_same_model_to_the_bit() {
    let mut digests = Vec::new();
    for shards in [1, 4, 8] {
        let alone = trained(&run(shards, Workers::default()));
        assert_eq!(alone.1.len(), 9);
        for size in [1, 2, 4, 8].into_iter().filter(|size| *size <= shards) {
            let results = in_processes(size, |workers| trained(&run(shards, workers)));
            for result in results {
                assert_eq!(result, alone, "{shards} shards, {size} processes");
            }
        }
        digests.push(alone.0);
    }
    // Shards have their own noise and batch statistics.
    digests.dedup();
    assert_eq!(digests.len(), 3);
}

#[test]
fn a_run_goes_on_with_another_number_of_processes() {
    let whole = trained(&run(4, Workers::default()));
    for (first, then) in [(4, 1), (1, 4), (2, 4), (4, 2)] {
        // All stop where one does: after a step in the middle of the second epoch.
        let stopped = in_processes(first, |workers| {
            let stops = workers.rank() == first - 1;
            let mut notes = Notes {
                stop_after: stops.then_some(5),
                ..Default::default()
            };
            let (mut model, run) = (model(), run(4, workers));
            let outcome = train(&mut model, &examples(), &run, &mut notes).unwrap();
            assert_eq!((outcome.steps, outcome.stopped), (5, Stopped::Interrupted));
            assert_eq!(notes.stopped_by_others, usize::from(!stops));
            (model.snapshot().unwrap(), notes.checkpoint.unwrap())
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let (mut snapshot, checkpoint) = stopped.into_iter().next().unwrap();
        snapshot.checkpoint = Some(checkpoint);
        snapshot.save(&path).unwrap();
        let digests = in_processes(then, |workers| {
            let mut model = Noisy::load_with(&path, LoadOptions::new().trainable(true)).unwrap();
            let checkpoint = Bundle::open(&path).unwrap().checkpoint().unwrap().unwrap();
            let run = run(4, workers);
            resume(&mut model, &examples(), &run, &checkpoint, &mut ()).unwrap();
            model.digest().unwrap()
        });
        for digest in digests {
            assert_eq!(digest, whole.0, "from {first} to {then} processes");
        }
    }
}

/// A model without noise and statistics of the batch.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Plain {
    #[network(with = plain)]
    net: Linear,
}

fn plain(_: &PlainParams, vb: VarBuilder) -> CandleResult<Linear> {
    linear(3, 1, vb)
}

impl Objective for Plain {
    type Input = [f32; 3];

    fn loss(&self, batch: &[&[f32; 3]], _: &mut Step) -> Result<Loss> {
        let inputs = inputs(batch)?;
        let error = self.net.forward(&inputs)? - inputs.sum_keepdim(1)?;
        Ok(Loss {
            total: error?.sqr()?.mean_all()?,
            parts: Vec::new(),
        })
    }
}

/// What is told of the steps of a model without noise, in batches of 10 of which the last has 7.
fn plain_steps(shards: usize, workers: Workers) -> Vec<StepNumbers> {
    let mut notes = Notes::default();
    let params = PlainParams::default();
    let mut model = Plain::create_with(params, CreateOptions::new().seed(2)).unwrap();
    let mut run = run(shards, workers);
    run.params.batch = 10;
    train(&mut model, &examples(), &run, &mut notes).unwrap();
    notes.steps
}

#[test]
fn the_shards_of_a_batch_add_up_to_the_batch() {
    let norms = |shards| {
        let steps = plain_steps(shards, Workers::default()).into_iter();
        let numbers = steps.flat_map(|(_, loss, _, norm)| [loss, norm]);
        numbers.map(f64::from_bits).collect::<Vec<_>>()
    };
    let whole = norms(1);
    for shards in [2, 4, 16] {
        let of_shards = norms(shards);
        assert_eq!(of_shards.len(), whole.len());
        for (sum, whole) in of_shards.into_iter().zip(&whole) {
            assert!(
                (sum - whole).abs() <= 1e-4 * whole,
                "{shards}: {sum} and {whole}"
            );
        }
    }
}

#[test]
fn a_batch_may_have_fewer_examples_than_shards() {
    let alone = plain_steps(16, Workers::default());
    for size in [2, 4, 8, 16] {
        for steps in in_processes(size, |workers| plain_steps(16, workers)) {
            assert_eq!(steps, alone, "{size} processes");
        }
    }
}

#[test]
fn a_running_variance_that_is_none_ends_training() {
    for (shards, batch) in [(4, 7), (1, 1)] {
        let mut run = run(shards, Workers::default());
        run.params.batch = batch;
        let error = train(&mut model(), &examples(), &run, &mut ()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("the buffer net/norm.running_var is not finite"),
            "{text}"
        );
    }
}

#[test]
fn a_process_sends_less_than_two_gradients_a_step_however_many_there_are() {
    for size in [2, 4, 8] {
        let steps = 19;
        let sent = thread::scope(|scope| {
            let threads = processes(size).into_iter().map(|(workers, sent)| {
                scope.spawn(move || {
                    let params = PlainParams::default();
                    let mut model =
                        Plain::create_with(params, CreateOptions::new().seed(2)).unwrap();
                    let mut notes = Notes::default();
                    let mut run = run(8, workers);
                    // What is compared at the beginning and after an epoch does not count.
                    run.params.epochs = 1;
                    run.params.batch = 3;

                    train(&mut model, &examples(), &run, &mut notes).unwrap();
                    assert_eq!(notes.steps.len(), steps);
                    sent.lock().unwrap().clone()
                })
            });
            let threads: Vec<_> = threads.collect();
            let sent = threads.into_iter().map(|thread| thread.join().unwrap());
            sent.collect::<Vec<_>>()
        });
        let rounds = size.ilog2() as usize;
        // Four weights, each a number of f32, a loss of f64, whether anyone stops, of u32; each padded
        // to one for each process.
        let vectors = 4 * 4_usize.next_multiple_of(size) + 8 * size + 4 * size;
        let a_step = 2 * (vectors - vectors / size);
        for sent in sent {
            // Digests are of 32 bytes each.
            let sent: Vec<usize> = sent.into_iter().filter(|bytes| *bytes != 5 * 32).collect();
            // Once more at the end of the epoch.
            assert_eq!(sent.len(), steps * 6 * rounds + 2 * rounds);
            let at_the_end = 2 * (4 * size - 4);
            assert_eq!(sent.iter().sum::<usize>(), steps * a_step + at_the_end);
        }
    }
}

#[test]
fn counts_in_integers_are_those_of_one_shard() {
    let evaluations = |shards| {
        let mut model = model();
        train(
            &mut model,
            &examples(),
            &run(shards, Workers::default()),
            &mut (),
        )
        .unwrap();
        model.net.evaluations.to_vec1::<i64>().unwrap()
    };
    assert_eq!([evaluations(1), evaluations(4)], [[9], [9]]);
}

/// Examples of which it is noted who reads them.
struct Noted {
    examples: Vec<[f32; 3]>,
    read: Mutex<usize>,
}

impl Dataset<[f32; 3]> for Noted {
    fn len(&self) -> usize {
        self.examples.len()
    }

    fn read(&self, indices: &[u32]) -> Result<Vec<[f32; 3]>> {
        *self.read.lock().unwrap() += indices.len();
        self.examples.read(indices)
    }

    fn sizes(&self, _: &dyn Fn(&[f32; 3]) -> Result<usize>) -> Result<Vec<usize>> {
        Ok(vec![1; self.examples.len()])
    }
}

#[test]
fn a_process_reads_its_share_of_the_examples_alone() {
    let read = in_processes(4, |workers| {
        let data = Noted {
            examples: examples()[..40].to_vec(),
            read: Mutex::default(),
        };
        let mut run = run(4, workers);
        run.params.batch = 20;
        train(&mut model(), &data, &run, &mut ()).unwrap();
        data.read.into_inner().unwrap()
    });
    assert_eq!(read, [30; 4]);
}

/// The errors of two processes, of which the second's model, examples and run are changed.
fn errors(
    change: impl Fn(&mut Model<Noisy>, &mut Vec<[f32; 3]>, &mut Run) + Sync,
) -> Vec<Result<Outcome>> {
    in_processes(2, |workers| {
        let is_second = workers.rank() == 1;
        let (mut model, mut data, mut run) = (model(), examples(), run(4, workers));
        if is_second {
            change(&mut model, &mut data, &mut run);
        }
        train(&mut model, &data, &run, &mut ())
    })
}

#[test]
fn processes_that_differ_are_told_in_what() {
    type Change = fn(&mut Model<Noisy>, &mut Vec<[f32; 3]>, &mut Run);
    let changes: [(&str, Change); 4] = [
        ("the run: ", |_, _, run| run.seed = 10),
        ("the run, the examples: ", |_, data, _| data.truncate(56)),
        ("the weights: ", |model, _, _| {
            let bias = model.vars()[0].1.clone();
            bias.set(&bias.ones_like().unwrap()).unwrap();
        }),
        ("the run: ", |_, _, run| run.params.shards = 2),
    ];
    for (what, change) in changes {
        for error in errors(change) {
            let text = error.unwrap_err().to_string();
            let start = format!("the processes 0 and 1 differ in {what}");
            assert!(text.starts_with(&start), "{text}");
        }
    }
}

#[test]
fn a_process_that_fails_ends_the_others() {
    let results = errors(|_, data, _| data[17] = [f32::NAN; 3]);
    let texts: Vec<String> = results
        .into_iter()
        .map(|result| result.unwrap_err().to_string())
        .collect();
    // Both come to the batch with the number, and the one that reads it fails.
    assert!(texts[0].contains("process 1 is gone"), "{texts:?}");
    assert!(texts[1].contains("the loss is NaN"), "{texts:?}");
}

#[test]
fn processes_that_cannot_share_the_shards_are_refused() {
    let error = |size: usize, shards: usize| {
        let results = in_processes(size, |workers| {
            let result = train(&mut model(), &examples(), &run(shards, workers), &mut ());
            result.unwrap_err().to_string()
        });
        results.into_iter().next().unwrap()
    };
    let text = error(4, 2);
    assert!(text.contains("4 processes cannot share the 2"), "{text}");
    let (to, from) = (vec![channel().0; 3], Vec::new());
    let sent = Arc::default();
    let three = Workers::new(Arc::new(Thread {
        rank: 0,
        sent,
        to,
        from,
    }));
    let text = three.unwrap_err().to_string();
    assert!(
        text.contains("3 processes: expected a power of two"),
        "{text}"
    );
    let text = error(1, 3);
    assert!(text.contains("`shards` = 3"), "{text}");
}

#[test]
fn any_process_is_heard_by_all() {
    for size in [1, 2, 8] {
        for speaker in 0..size {
            let heard = in_processes(size, |workers| {
                workers.any(workers.rank() == speaker).unwrap()
            });
            assert_eq!(heard, vec![true; size]);
        }
        let heard = in_processes(size, |workers| workers.any(false).unwrap());
        assert_eq!(heard, vec![false; size]);
    }
}

#[test]
fn a_time_limit_follows_the_clock_of_the_first_process() {
    let limited = Arc::new(Mutex::new(Vec::new()));
    in_processes(2, |workers| {
        let mut run = run(4, workers);
        run.params.epochs = 1_000_000;
        run.max_time = Some(std::time::Duration::from_millis(50));
        let mut model = model();
        let outcome = train(&mut model, &examples(), &run, &mut ()).unwrap();
        assert_eq!(outcome.stopped, Stopped::TimeUp);
        let mut limited = limited.lock().unwrap();
        limited.push((outcome.steps, outcome.elapsed, model.digest().unwrap()));
    });
    let limited = limited.lock().unwrap();
    assert_eq!(limited[0], limited[1]);
}
