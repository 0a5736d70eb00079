//! Bundles beyond what 32 bits count.

use atlas_core::prelude::*;
use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};
use tempfile::TempDir;

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Large {
    #[param(min = 1)]
    mib: usize,
    #[network(with = build)]
    net: Tensor,
}

fn build(params: &LargeParams, vb: VarBuilder) -> candle_core::Result<Tensor> {
    let init = Init::Uniform { lo: -1.0, up: 1.0 };
    vb.get_with_hints((params.mib, 1 << 18), "weight", init)
}

#[test]
#[ignore = "takes 10 GiB of memory, 5 GiB of disk and a minute"]
fn a_tensor_of_more_than_four_gib_comes_back_bit_for_bit() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large");
    let params = LargeParams { mib: 4100 };
    let model = Large::create_with(params, CreateOptions::new().seed(7)).unwrap();
    model.save(&path).unwrap();
    let loaded = Large::load(&path).unwrap();
    assert_eq!(loaded.net.dims(), [4100, 1 << 18]);
    // The digest is over every byte of every tensor.
    assert_eq!(loaded.digest().unwrap(), model.digest().unwrap());
}
