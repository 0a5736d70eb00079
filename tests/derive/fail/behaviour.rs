//! Models that do not say how their behaviour is checked, or say it twice, or cannot be checked so.

use atlas_core::candle_core::{Result as CandleResult, Tensor};
use atlas_core::candle_nn::{Linear, VarBuilder};
use atlas_core::prelude::*;

#[derive(AtlasModel)]
struct Unsaid {
    #[network(with = net)]
    net: Linear,
}

#[derive(AtlasModel)]
struct Several {
    #[network(with = net, golden = [2, 3])]
    encoder: Linear,
    #[network(with = net)]
    decoder: Linear,
}

#[derive(AtlasModel)]
#[atlas(unchecked, golden = outputs)]
struct Both {
    #[network(with = net)]
    net: Linear,
}

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Twice {
    #[network(with = net, golden = [2, 3])]
    net: Linear,
}

#[derive(AtlasModel)]
struct Shapeless {
    #[network(with = net, golden = [])]
    net: Linear,
}

#[derive(AtlasModel)]
struct NoList {
    #[network(with = net, golden = 3, buffers = [steps])]
    net: Linear,
}

struct Odd;

#[derive(AtlasModel)]
struct NoModule {
    #[network(with = odd, golden = [2, 3])]
    net: Odd,
}

#[derive(AtlasModel)]
#[atlas(golden = no_outputs)]
struct NoOutputs {
    #[network(with = net)]
    net: Linear,
}

#[derive(AtlasModel)]
#[atlas(golden)]
struct NoImpl {
    #[network(with = net)]
    net: Linear,
}

fn net<P>(_: &P, _: VarBuilder) -> CandleResult<Linear> {
    unreachable!()
}

fn odd<P>(_: &P, _: VarBuilder) -> CandleResult<Odd> {
    unreachable!()
}

fn outputs(_: &Both) -> CandleResult<Tensor> {
    unreachable!()
}

fn no_outputs(_: &NoOutputs) -> CandleResult<String> {
    unreachable!()
}

fn main() {}
