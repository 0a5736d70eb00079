//! Measures saving and loading against candle on the same tensors.
//!
//! `cargo run --release -p atlas-core --example bundle_speed -- MIB ROUNDS FOLDER` alternates the
//! contestants and prints medians, with the shares of digesting and of syncing; on a memory file
//! system such as `/dev/shm` the latter is nothing. Loads are timed in a process of their own.
//! `… MIB memory FOLDER` saves and loads, compares every tensor bit for bit, and prints what both
//! take of memory, as multiples of the tensors.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Init, VarBuilder, VarMap};

/// Tensors of 4 MiB.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Block {
    #[param(min = 1)]
    tensors: usize,
    #[network(with = build)]
    net: Vec<Tensor>,
}

const WIDTH: usize = 1024;

fn build(params: &BlockParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
    let init = Init::Uniform { lo: -1.0, up: 1.0 };
    (0..params.tensors)
        .map(|index| vb.get_with_hints((WIDTH, WIDTH), &index.to_string(), init))
        .collect()
}

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mib, rounds, folder] = &arguments[..] else {
        return Err("usage: bundle_speed MIB ROUNDS|memory FOLDER".into());
    };
    let tensors = mib.parse::<usize>()? / 4;
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    match rounds.as_str() {
        "memory" => memory(tensors, folder),
        "loaded-memory" => loaded_memory(tensors, folder),
        "load-0" | "load-1" | "load-2" => {
            for _ in 0..AGAIN {
                println!("{}", load(rounds[5..].parse()?, tensors, folder)?);
            }
            Ok(())
        }
        rounds => match rounds.parse()? {
            0 => Err("at least one round is needed".into()),
            rounds => speed(tensors, rounds, folder),
        },
    }
}

fn create(tensors: usize) -> Result<Model<Block>> {
    Block::create_with(BlockParams { tensors }, CreateOptions::new().seed(7))
}

const LOADS: [&str; 3] = [
    "Model::load, verified",
    "memory-mapped VarBuilder",
    "candle safetensors::load",
];

/// Seconds that a load took.
fn load(contestant: usize, tensors: usize, folder: &Path) -> Outcome<f64> {
    let (bundle, candle) = (folder.join("bundle"), folder.join("candle.safetensors"));
    let start = Instant::now();
    match contestant {
        0 => drop(Block::load(&bundle)?),
        1 => {
            // SAFETY: nobody writes to the file while it is mapped.
            let vb = unsafe {
                VarBuilder::from_mmaped_safetensors(&[&candle], DType::F32, &Device::Cpu)?
            };
            drop(build(&BlockParams { tensors }, vb)?);
        }
        _ => drop(candle_core::safetensors::load(&candle, &Device::Cpu)?),
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Loads in a process of its own: the first of them is timed as what a program does when it starts,
/// the last as what it does when it loads again and again.
const AGAIN: usize = 8;

/// Seconds that the first and the last load took in a process of its own.
fn load_alone(contestant: usize, tensors: usize, folder: &Path) -> Outcome<[f64; 2]> {
    let mib = (4 * tensors).to_string();
    let job = format!("load-{contestant}");
    let output = Command::new(std::env::current_exe()?)
        .args([&mib, &job])
        .arg(folder)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let output = String::from_utf8(output.stdout)?;
    let mut times = output.lines().map(str::parse::<f64>);
    let first = times.next().ok_or("no load was timed")??;
    Ok([first, times.next_back().ok_or("one load was timed")??])
}

/// Seconds that something took.
fn timed<E: Into<Box<dyn Error>>>(run: impl FnOnce() -> Result<(), E>) -> Outcome<f64> {
    let start = Instant::now();
    run().map_err(Into::into)?;
    Ok(start.elapsed().as_secs_f64())
}

const SAVES: [&str; 4] = [
    "Model::save",
    "VarMap::save",
    "Model::digest",
    "syncing as much",
];

fn speed(tensors: usize, rounds: usize, folder: &Path) -> Outcome {
    let model = create(tensors)?;
    let bytes = (tensors * WIDTH * WIDTH * 4) as f64;
    let (bundle, candle) = (folder.join("bundle"), folder.join("candle.safetensors"));

    let varmap = VarMap::new();
    if let Ok(mut data) = varmap.data().lock() {
        data.extend(
            model
                .vars()
                .into_iter()
                .map(|(name, var)| (name.replace("net/", ""), var)),
        );
    }
    let digest = || timed(|| model.digest().map(drop));
    let save = || timed(|| model.save(&bundle));
    let varmap_save = || timed(|| varmap.save(&candle));
    let mut times = vec![Vec::new(); SAVES.len()];
    // By turns the first: each finds the memory that the one before it has freed.
    for round in 0..rounds {
        for contestant in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            times[contestant].push(if contestant == 0 {
                save()?
            } else {
                varmap_save()?
            });
        }
    }
    for _ in 0..rounds {
        times[2].push(digest()?);
        times[3].push(sync(tensors, folder)?);
    }
    let medians = report(bytes, &SAVES, times);
    let [save, varmap_save, digest, sync] = medians[..] else {
        return Err("a contestant is missing".into());
    };
    println!(
        "syncing is {:.0} % of a save; the rest takes {:.2} times VarMap::save, and digesting, beside the writing, is \
         {:.0} % of it",
        100.0 * sync / save,
        (save - sync) / varmap_save,
        100.0 * digest / (save - sync)
    );

    let mut times = [(); 2].map(|()| vec![Vec::new(); LOADS.len()]);
    for _ in 0..rounds {
        for contestant in 0..LOADS.len() {
            let seconds = load_alone(contestant, tensors, folder)?;
            for (times, seconds) in times.iter_mut().zip(seconds) {
                times[contestant].push(seconds);
            }
        }
    }
    for (times, what) in times.into_iter().zip(["first", "last of several"]) {
        println!("loading, the {what} of a process:");
        let medians = report(bytes, &LOADS, times);
        println!(
            "digesting is {:.0} % of a verified load",
            100.0 * digest / medians[0]
        );
    }
    fs::remove_dir_all(&bundle)?;
    Ok(fs::remove_file(&candle)?)
}

/// Seconds that syncing took of what a save syncs: a file of the tensors, a small one, the folder
/// that holds them and the one above. The time of writing is not counted.
fn sync(tensors: usize, folder: &Path) -> Outcome<f64> {
    let inner = folder.join("synced");
    fs::create_dir_all(&inner)?;
    let tensor = vec![1; WIDTH * WIDTH * 4];
    let mut seconds = 0.0;
    for (name, tensors) in [("large", tensors), ("small", 1)] {
        let mut file = File::create(inner.join(name))?;
        for _ in 0..tensors {
            file.write_all(if name == "small" { b"{}" } else { &tensor })?;
        }
        seconds += timed(|| file.sync_all())?;
    }
    for folder in [&*inner, folder] {
        let folder = File::open(folder)?;
        seconds += timed(|| folder.sync_all())?;
    }
    fs::remove_dir_all(&inner)?;
    Ok(seconds)
}

/// Prints the medians of what each contestant took, and gives them back.
fn report(bytes: f64, names: &[&str], times: Vec<Vec<f64>>) -> Vec<f64> {
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    for (name, seconds) in names.iter().zip(&medians) {
        let speed = bytes / seconds / 1e9;
        println!(
            "{name:26} {:8.1} ms  {speed:5.2} GB/s  {:5.2} times the first",
            seconds * 1e3,
            seconds / medians[0]
        );
    }
    medians
}

/// The most memory this process has had, in bytes.
fn peak() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .ok_or("this system does not tell")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kib * 1024.0)
}

fn memory(tensors: usize, folder: &Path) -> Outcome {
    let bytes = (tensors * WIDTH * WIDTH * 4) as f64;
    let model = create(tensors)?;
    let before = peak()?;
    model.save(folder.join("bundle"))?;
    println!(
        "a save adds {:.3} times the tensors",
        (peak()? - before) / bytes
    );
    // A load in a process of its own.
    let program = std::env::current_exe()?;
    let mib = (4 * tensors).to_string();
    let loaded = Command::new(program)
        .args([&mib, "loaded-memory"])
        .arg(folder)
        .status()?;
    if !loaded.success() {
        return Err("the load failed".into());
    }
    let loaded = Block::load(folder.join("bundle"))?;
    for (index, (saved, loaded)) in model.net.iter().zip(&loaded.net).enumerate() {
        if bits(saved)? != bits(loaded)? {
            return Err(format!("tensor {index} is not the one that was saved").into());
        }
    }
    println!("{} tensors are bit-identical", loaded.net.len());
    Ok(fs::remove_dir_all(folder.join("bundle"))?)
}

/// The bits of a tensor's elements.
fn bits(tensor: &Tensor) -> candle_core::Result<Vec<u32>> {
    let elements = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(elements.into_iter().map(f32::to_bits).collect())
}

fn loaded_memory(tensors: usize, folder: &Path) -> Outcome {
    let bytes = (tensors * WIDTH * WIDTH * 4) as f64;
    let before = peak()?;
    let model = Block::load(folder.join("bundle"))?;
    println!(
        "a load takes {:.3} times the tensors",
        (peak()? - before) / bytes
    );
    drop(model);
    let trainable = Block::load_with(folder.join("bundle"), LoadOptions::new().trainable(true))?;
    println!(
        "{} tensors, trainable: {:.3} times",
        trainable.net.len(),
        (peak()? - before) / bytes
    );
    Ok(())
}
