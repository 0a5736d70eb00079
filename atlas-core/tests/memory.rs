//! A load and a save take little memory beside the tensors.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};

use atlas_core::prelude::*;
use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The system's allocator, counting what all threads have allocated. So this file has one test:
/// tests at once would count each other's.
struct Counting;

static ALLOCATED: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

fn count(bytes: i64) {
    let allocated = ALLOCATED.fetch_add(bytes, Ordering::SeqCst) + bytes;
    PEAK.fetch_max(allocated, Ordering::SeqCst);
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as of the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as of the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as of the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What `run` gives back, and the most bytes that were allocated at once on top of what was before.
fn peak<R>(run: impl FnOnce() -> R) -> (R, i64) {
    let before = ALLOCATED.load(Ordering::SeqCst);
    PEAK.store(before, Ordering::SeqCst);
    let result = run();
    (result, PEAK.load(Ordering::SeqCst) - before)
}

const MIB: i64 = 1 << 20;
/// The tensors of all networks.
const TENSORS: i64 = 64 * MIB;
/// What is needed however large a model is: names, manifests, threads.
const CONSTANT: i64 = 4 * MIB;

/// Four networks of two tensors of 8 MiB each.
#[expect(dead_code, reason = "networks are built here, and not run")]
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Large {
    #[param(default = 2)]
    tensors: usize,
    #[network(with = build)]
    a: Vec<Tensor>,
    #[network(with = build)]
    b: Vec<Tensor>,
    #[network(with = build)]
    c: Vec<Tensor>,
    #[network(with = build)]
    d: Vec<Tensor>,
}

fn build(params: &LargeParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
    (0..params.tensors)
        .map(|index| vb.get_with_hints((8, 1 << 18), &index.to_string(), Init::Const(0.5)))
        .collect()
}

#[test]
fn a_load_and_a_save_take_a_tenth_more_than_the_tensors_and_a_constant() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large");
    let model = Large::create(LargeParams::default()).unwrap();
    let bytes: usize = model
        .networks()
        .iter()
        .map(|network| 4 * network.elements())
        .sum();
    assert_eq!(bytes as i64, TENSORS);
    // The tensors themselves are there before the save.
    let ((), save) = peak(|| model.save(&path).unwrap());
    assert!(save <= TENSORS / 10 + CONSTANT, "{save} bytes for a save");
    drop(model);
    for trainable in [false, true] {
        let options = LoadOptions::new().trainable(trainable);
        let (model, load) = peak(|| Large::load_with(&path, options).unwrap());
        assert!(
            (TENSORS..=TENSORS + TENSORS / 10 + CONSTANT).contains(&load),
            "{load} bytes for a load, trainable: {trainable}"
        );
        drop(model);
    }
}
