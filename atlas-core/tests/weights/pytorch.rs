//! Three models of PyTorch, with the outputs that they had there.

use std::fs;
use std::path::Path;

use atlas_core::nn::LayerNorm;
use atlas_core::prelude::*;
use atlas_core::weights::{Mapping, Weights};
use candle_core::{D, Device, Module, ModuleT, Result as CandleResult, Tensor};
use candle_nn::rnn::Direction;
use candle_nn::{
    BatchNorm, Conv2d, Conv2dConfig, Embedding, LSTM, LSTMConfig, Linear, RNN, VarBuilder,
};
use serde_json::json;
use tempfile::TempDir;

use crate::fixture;

/// Two convolutions, each with a batch norm, and a linear layer.
#[derive(AtlasModel)]
#[atlas(golden = score_images)]
struct Cnn {
    #[param(default = 8)]
    channels: usize,
    #[network(with = features)]
    features: Features,
    #[network(with = head)]
    head: Linear,
}

struct Features {
    first: (Conv2d, BatchNorm),
    second: (Conv2d, BatchNorm),
}

fn features(params: &CnnParams, vb: VarBuilder) -> CandleResult<Features> {
    let config = Conv2dConfig {
        padding: 1,
        ..Default::default()
    };
    let channels = params.channels;
    let conv = candle_nn::conv2d_no_bias(1, 4, 3, config, vb.pp("0"))?;
    let first = (conv, candle_nn::batch_norm(4, 1e-5, vb.pp("1"))?);
    let conv = candle_nn::conv2d(4, channels, 3, config, vb.pp("4"))?;
    let second = (conv, candle_nn::batch_norm(channels, 1e-5, vb.pp("5"))?);
    Ok(Features { first, second })
}

fn head(params: &CnnParams, vb: VarBuilder) -> CandleResult<Linear> {
    candle_nn::linear(params.channels, 3, vb)
}

impl Cnn {
    fn forward(&self, images: &Tensor) -> CandleResult<Tensor> {
        let Features { first, second } = &self.features;
        let maps = first.1.forward_t(&first.0.forward(images)?, false)?;
        let maps = maps.relu()?.max_pool2d(2)?;
        let maps = second.1.forward_t(&second.0.forward(&maps)?, false)?;
        self.head.forward(&maps.relu()?.mean((2, 3))?)
    }
}

fn score_images(model: &Cnn) -> CandleResult<Tensor> {
    model.forward(&Tensor::arange(0f32, 64.0, &Device::Cpu)?.reshape((1, 1, 8, 8))?)
}

/// GPT-2, small.
#[derive(AtlasModel)]
#[atlas(golden = next_words)]
struct Gpt {
    #[param(default = 24)]
    vocabulary: usize,
    #[param(default = 16)]
    width: usize,
    #[param(default = 2)]
    heads: usize,
    #[param(default = 10)]
    context: usize,
    #[param(default = 2)]
    layers: usize,
    #[network]
    net: GptNet,
}

struct GptNet {
    heads: usize,
    words: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

struct Block {
    norm_1: LayerNorm,
    queries_keys_values: Linear,
    mixed: Linear,
    norm_2: LayerNorm,
    wide: Linear,
    narrow: Linear,
}

impl GptNet {
    fn new(params: &GptParams, vb: VarBuilder) -> CandleResult<Self> {
        let GptParams {
            vocabulary,
            width,
            heads,
            context,
            layers,
        } = *params;
        let block = |layer: usize| {
            let vb = vb.pp("h").pp(layer);
            Ok(Block {
                norm_1: LayerNorm::new(width, 1e-5, vb.pp("ln_1"))?,
                queries_keys_values: candle_nn::linear(width, 3 * width, vb.pp("attn.c_attn"))?,
                mixed: candle_nn::linear(width, width, vb.pp("attn.c_proj"))?,
                norm_2: LayerNorm::new(width, 1e-5, vb.pp("ln_2"))?,
                wide: candle_nn::linear(width, 4 * width, vb.pp("mlp.c_fc"))?,
                narrow: candle_nn::linear(4 * width, width, vb.pp("mlp.c_proj"))?,
            })
        };
        Ok(Self {
            heads,
            words: candle_nn::embedding(vocabulary, width, vb.pp("wte"))?,
            positions: candle_nn::embedding(context, width, vb.pp("wpe"))?,
            blocks: (0..layers).map(block).collect::<CandleResult<_>>()?,
            norm: LayerNorm::new(width, 1e-5, vb.pp("ln_f"))?,
        })
    }

    /// `[batch, steps]` words to `[batch, steps, vocabulary]` logits.
    fn forward(&self, ids: &Tensor) -> CandleResult<Tensor> {
        let (_, steps) = ids.dims2()?;
        let positions = Tensor::arange(0, steps as u32, &Device::Cpu)?;
        let positions = self.positions.forward(&positions)?;
        let mut x = self.words.forward(ids)?.broadcast_add(&positions)?;
        for block in &self.blocks {
            x = (&x + self.attend(block, &block.norm_1.forward(&x)?)?)?;
            let wide = block.wide.forward(&block.norm_2.forward(&x)?)?;
            x = (&x + block.narrow.forward(&wide.gelu()?)?)?;
        }
        let words = self.words.embeddings().t()?;
        self.norm.forward(&x)?.broadcast_matmul(&words)
    }

    fn attend(&self, block: &Block, x: &Tensor) -> CandleResult<Tensor> {
        let (batch, steps, width) = x.dims3()?;
        let parts = block.queries_keys_values.forward(x)?;
        let part = |index: usize| {
            let part = parts.narrow(D::Minus1, index * width, width)?;
            let part = part.reshape((batch, steps, self.heads, width / self.heads))?;
            part.transpose(1, 2)?.contiguous()
        };
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);
        let scores = queries.matmul(&keys.t()?.contiguous()?)?;
        let scores = (scores / ((width / self.heads) as f64).sqrt())?;
        let mask: Vec<f32> = (0..steps * steps)
            .map(|at| {
                if at % steps > at / steps {
                    f32::NEG_INFINITY
                } else {
                    0.0
                }
            })
            .collect();
        let mask = Tensor::from_vec(mask, (steps, steps), &Device::Cpu)?;
        let scores = candle_nn::ops::softmax(&scores.broadcast_add(&mask)?, D::Minus1)?;
        let mixed = scores.matmul(&values)?.transpose(1, 2)?;
        block.mixed.forward(&mixed.reshape((batch, steps, width))?)
    }
}

fn next_words(model: &Gpt) -> CandleResult<Tensor> {
    model
        .net
        .forward(&Tensor::new(&[[3u32, 1, 4]], &Device::Cpu)?)
}

/// A score of each tag for each word, by an LSTM in both directions.
#[derive(AtlasModel)]
#[atlas(golden = tag_words)]
struct Tagger {
    #[param(default = 6)]
    hidden_size: usize,
    #[network(with = words)]
    words: Embedding,
    #[network(with = directions)]
    lstm: [LSTM; 2],
    #[network(with = tags)]
    tags: Linear,
}

fn words(_: &TaggerParams, vb: VarBuilder) -> CandleResult<Embedding> {
    candle_nn::embedding(20, 8, vb)
}

fn directions(params: &TaggerParams, vb: VarBuilder) -> CandleResult<[LSTM; 2]> {
    let lstm = |direction: Direction| {
        let config = LSTMConfig {
            direction,
            ..Default::default()
        };
        candle_nn::lstm(8, params.hidden_size, config, vb.clone())
    };
    Ok([lstm(Direction::Forward)?, lstm(Direction::Backward)?])
}

fn tags(params: &TaggerParams, vb: VarBuilder) -> CandleResult<Linear> {
    candle_nn::linear(2 * params.hidden_size, 5, vb)
}

impl Tagger {
    /// `[batch, steps]` words to `[batch, steps, 5]` scores.
    fn forward(&self, ids: &Tensor) -> CandleResult<Tensor> {
        let words = self.words.forward(ids)?;
        let [forward, backward] = &self.lstm;
        let run = |lstm: &LSTM, words: &Tensor| lstm.states_to_tensor(&lstm.seq(words)?);
        let reversed = run(backward, &reverse(&words)?)?;
        let states = Tensor::cat(&[run(forward, &words)?, reverse(&reversed)?], 2)?;
        self.tags.forward(&states)
    }
}

/// The steps of `[batch, steps, width]` in the other order.
fn reverse(x: &Tensor) -> CandleResult<Tensor> {
    let (_, steps, _) = x.dims3()?;
    let order: Vec<u32> = (0..steps as u32).rev().collect();
    x.contiguous()?
        .index_select(&Tensor::new(order, &Device::Cpu)?, 1)
}

fn tag_words(model: &Tagger) -> CandleResult<Tensor> {
    model.forward(&Tensor::new(&[[3u32, 1, 4]], &Device::Cpu)?)
}

fn import<T: AtlasModel>(path: &Path, params: T::Params, mapping: &Mapping) -> Result<Model<T>> {
    let weights = Weights::read(path)?;
    let mut snapshot = weights.snapshot(T::NAME, T::VERSION, T::NETWORKS, mapping)?;
    snapshot.set_params(&params);
    Model::from_snapshot(snapshot, &LoadOptions::new().golden(false))
}

/// The model gives the outputs that PyTorch wrote down for `name`, and so does its bundle.
#[track_caller]
fn assert_behaves_as_in_pytorch<T: AtlasModel>(
    model: Model<T>,
    name: &str,
    forward: fn(&T, &Tensor) -> CandleResult<Tensor>,
) {
    let path = fixture(&format!("{name}.outputs.safetensors"));
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let (inputs, expected) = (&tensors["inputs"], &tensors["outputs"]);
    let folder = TempDir::new().unwrap();
    let bundle = folder.path().join("bundle");
    model.save(&bundle).unwrap();
    for model in [model, T::load(&bundle).unwrap()] {
        let outputs = forward(&model, inputs).unwrap();
        assert_eq!(outputs.dims(), expected.dims());
        let largest = |tensor: &Tensor| -> f32 {
            let largest = tensor.abs().unwrap().max_all().unwrap();
            largest.to_scalar().unwrap()
        };
        // In f32, PyTorch's own outputs of the transformer, which reach 3, are off by 7e-7.
        let allowed = 1e-6 * largest(expected).max(1.0);
        let found = largest(&(outputs - expected).unwrap());
        assert!(found < allowed, "{name}: outputs differ by {found}");
    }
}

fn cnn_mapping() -> Mapping {
    Mapping::new()
        .rename("features.*", "features/*")
        .rename("classifier.*", "head/*")
}

/// By the names of Hugging Face; what is kept of tied weights differs between its files.
fn gpt_mapping() -> Mapping {
    serde_json::from_value(json!([
        { "from": "transformer.*.attn.bias", "ignore": true },
        { "from": "transformer.h.*.c_*.weight", "to": "net/h.*.c_*.weight", "transpose": true },
        { "from": "transformer.*", "to": "net/*" },
    ]))
    .unwrap()
}

#[test]
fn a_cnn_with_batch_norms_from_safetensors_gives_the_outputs_of_pytorch() {
    let model = import::<Cnn>(
        &fixture("cnn.safetensors"),
        CnnParams::default(),
        &cnn_mapping(),
    );
    assert_behaves_as_in_pytorch(model.unwrap(), "cnn", Cnn::forward);
}

#[test]
fn a_gpt_in_shards_with_fused_transposed_weights_gives_the_outputs_of_pytorch() {
    let model = import::<Gpt>(&fixture("gpt"), GptParams::default(), &gpt_mapping());
    assert_behaves_as_in_pytorch(model.unwrap(), "gpt", |gpt, ids| gpt.net.forward(ids));
}

#[test]
fn a_gpt_from_torch_save_with_tied_weights_gives_the_outputs_of_pytorch() {
    let mapping = gpt_mapping().rename("lm_head.weight", "net/wte.weight");
    let model = import::<Gpt>(&fixture("gpt.pt"), GptParams::default(), &mapping);
    assert_behaves_as_in_pytorch(model.unwrap(), "gpt", |gpt, ids| gpt.net.forward(ids));
}

#[test]
fn an_lstm_in_both_directions_from_torch_save_gives_the_outputs_of_pytorch() {
    let mapping = Mapping::new()
        .rename("embedding.*", "words/*")
        .rename("lstm.*", "lstm/*")
        .rename("out.*", "tags/*");
    let model = import::<Tagger>(&fixture("tagger.pt"), TaggerParams::default(), &mapping);
    assert_behaves_as_in_pytorch(model.unwrap(), "tagger", Tagger::forward);
}

#[test]
fn the_provenance_names_files_digests_and_mapping() {
    let weights = Weights::read(fixture("gpt")).unwrap();
    let snapshot = weights
        .snapshot("gpt", 1, &["net"], &gpt_mapping())
        .unwrap();
    let note = &snapshot.provenance.notes()["imported"];
    assert_eq!(
        note["mapping"],
        serde_json::to_value(gpt_mapping()).unwrap()
    );
    let files = note["files"].as_object().unwrap();
    assert_eq!(files.len(), 3);
    for (name, file) in files {
        let bytes = fs::read(fixture("gpt").join(name)).unwrap();
        let digest = blake3::hash(&bytes).to_hex();
        assert_eq!(
            *file,
            json!({ "bytes": bytes.len(), "blake3": digest.as_str() })
        );
    }
    assert_eq!(snapshot.provenance.seed(), None);
}

#[test]
fn a_model_that_asks_for_other_tensors_is_refused() {
    let untransposed = Mapping::new()
        .ignore("transformer.*.attn.bias")
        .rename("transformer.*", "net/*");
    let error = import::<Gpt>(&fixture("gpt"), GptParams::default(), &untransposed);
    let error = error.err().unwrap();
    assert!(error.is_mismatch(), "{error}");
    let paths: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| problem.path())
        .collect();
    let expected = [
        "net/h.0.attn.c_attn.weight",
        "net/h.0.mlp.c_fc.weight",
        "net/h.0.mlp.c_proj.weight",
        "net/h.1.attn.c_attn.weight",
        "net/h.1.mlp.c_fc.weight",
        "net/h.1.mlp.c_proj.weight",
    ];
    assert_eq!(paths, expected);
}
