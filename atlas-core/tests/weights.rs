//! Weights of other programs become those of a model by a mapping, or an error says why not.
//!
//! `weights/write_fixtures.py` wrote the files and, by PyTorch, the outputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use atlas_core::nn::LayerNorm;
use atlas_core::prelude::*;
use atlas_core::weights::{Mapping, Weights};
use candle_core::{D, DType, Device, Module, ModuleT, Result as CandleResult, Tensor};
use candle_nn::rnn::Direction;
use candle_nn::{
    BatchNorm, Conv2d, Conv2dConfig, Embedding, LSTM, LSTMConfig, Linear, RNN, VarBuilder,
};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

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

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/weights")
        .join(name)
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

#[cfg(feature = "torch")]
#[test]
fn a_gpt_from_torch_save_with_tied_weights_gives_the_outputs_of_pytorch() {
    let mapping = gpt_mapping().rename("lm_head.weight", "net/wte.weight");
    let model = import::<Gpt>(&fixture("gpt.pt"), GptParams::default(), &mapping);
    assert_behaves_as_in_pytorch(model.unwrap(), "gpt", |gpt, ids| gpt.net.forward(ids));
}

#[cfg(feature = "torch")]
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

/// A tensor of a file: name, dtype, shape, bytes.
type Stored<'a> = (&'a str, Dtype, &'a [usize], &'a [u8]);

fn write(path: &Path, tensors: &[Stored]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.to_vec(), bytes).unwrap();
        (*name, view)
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// Tensors of bytes, of so many elements.
fn bytes<'a>(tensors: &[(&'a str, &'a [usize], &'a [u8])]) -> Vec<Stored<'a>> {
    let tensors = tensors.iter();
    tensors
        .map(|(name, shape, bytes)| (*name, Dtype::U8, *shape, *bytes))
        .collect()
}

fn weights(tensors: &[Stored]) -> Result<Weights> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("weights.safetensors");
    write(&path, tensors);
    Weights::read(path)
}

/// All that is wrong, a text each.
#[track_caller]
fn problems<T>(result: Result<T>) -> Vec<String> {
    let error = result.err().expect("an error");
    assert!(error.is_import(), "{error}");
    error.problems().iter().map(ToString::to_string).collect()
}

/// The tensors of `net` and `other` that a mapping makes of two vectors and a matrix.
fn mapped(mapping: Mapping) -> Result<BTreeMap<String, BTreeMap<String, Tensor>>> {
    let tensors = [
        ("a.bias", &[2][..], &[1, 2][..]),
        ("a.weight", &[2, 3], &[0, 1, 2, 3, 4, 5]),
        ("b.bias", &[2], &[1, 3]),
    ];
    let weights = weights(&bytes(&tensors)).unwrap();
    let snapshot = weights.snapshot("model", 1, &["net", "other"], &mapping)?;
    Ok(snapshot.networks)
}

#[test]
fn the_first_rule_that_matches_decides() {
    let mapping = Mapping::new()
        .transpose("a.weight", "other/w")
        .rename("a.*", "net/first.*")
        .rename("*", "net/*");
    let networks = mapped(mapping).unwrap();
    assert_eq!(
        networks["net"].keys().collect::<Vec<_>>(),
        ["b.bias", "first.bias"]
    );
    let transposed = networks["other"]["w"].to_vec2::<u8>().unwrap();
    assert_eq!(transposed, [[0, 3], [1, 4], [2, 5]]);
}

#[test]
fn one_network_takes_all_tensors_by_their_names() {
    let networks = mapped(Mapping::network("net")).unwrap();
    assert_eq!(
        networks["net"].keys().collect::<Vec<_>>(),
        ["a.bias", "a.weight", "b.bias"]
    );
}

#[test]
fn a_pattern_can_name_networks() {
    let networks = mapped(Mapping::new().ignore("b.*").rename("*.*", "net/*-*")).unwrap();
    assert_eq!(
        networks["net"].keys().collect::<Vec<_>>(),
        ["a-bias", "a-weight"]
    );
    let error = mapped(Mapping::new().rename("*.*", "*/*"));
    let expected = [
        "`a`: the model has no such network, but net, other",
        "`b`: the model has no such network, but net, other",
    ];
    assert_eq!(problems(error), expected);
}

#[test]
fn everything_that_a_mapping_misses_is_reported_at_once() {
    let mapping = Mapping::new()
        .rename("a.bias", "nett/bias")
        .rename("*.gamma", "net/*.gamma")
        .transpose("b.bias", "net/bias")
        .rename("b.*", "net/*");
    let expected = [
        "`a.weight` = U8 [2, 3]: no rule matches it",
        "`b.bias` = U8 [2]: only a matrix can be transposed",
        "`nett`: the model has no such network, but net, other; did you mean `net`?",
        "`*.gamma`: it matches no tensor",
        "`b.*`: other rules take all tensors that it matches",
    ];
    assert_eq!(problems(mapped(mapping)), expected);
}

#[test]
fn different_tensors_cannot_become_one() {
    let mapping = Mapping::new()
        .rename("*.bias", "net/bias*")
        .rename("a.weight", "net/biasa");
    let expected = ["`net/biasa`: `a.bias` and `a.weight` become it, and differ"];
    assert_eq!(problems(mapped(mapping)), expected);
}

#[test]
fn equal_tensors_can_become_one() {
    let tied = weights(&bytes(&[("head", &[2], &[1, 2]), ("words", &[2], &[1, 2])])).unwrap();
    let mapping = Mapping::new()
        .rename("head", "net/words")
        .rename("words", "net/words");
    let snapshot = tied.snapshot("model", 1, &["net"], &mapping).unwrap();
    assert_eq!(snapshot.networks["net"].len(), 1);
}

#[test]
fn malformed_rules_are_reported_at_once() {
    let mapping: Mapping = serde_json::from_value(json!([
        { "from": "a.bias", "to": "net/a", "ignore": true },
        { "from": "a.weight" },
        { "from": "b.bias", "ignore": true, "transpose": true },
        { "from": "a.*", "to": "net/a.*.*" },
        { "from": "b.*", "to": "b.*" },
    ]))
    .unwrap();
    let expected = [
        "`a.bias`: a rule has no `to` if it has `ignore`",
        "`a.weight`: a rule has `to` or `ignore`",
        "`b.bias`: what is ignored is not transposed",
        "`a.*`: `net/a.*.*` has 2 `*`, and not 1 as `from` has",
        "`b.*`: `b.*` is not `network/name`",
    ];
    assert_eq!(problems(mapped(mapping)), expected);
}

#[test]
fn an_unknown_key_of_a_rule_is_refused() {
    let rule = json!([{ "from": "a", "to": "net/a", "transposed": true }]);
    let error = serde_json::from_value::<Mapping>(rule)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("unknown field `transposed`, expected one of"),
        "{error}"
    );
}

#[test]
fn the_counters_of_batch_norms_are_left_out_unless_a_rule_names_them() {
    let count: Stored = ("bn.num_batches_tracked", Dtype::I64, &[], &[0; 8]);
    let mean: Stored = ("bn.running_mean", Dtype::F32, &[1], &[0; 4]);
    let names = |tensors: &[Stored], mapping: &Mapping| {
        let weights = weights(tensors).unwrap();
        let snapshot = weights.snapshot("model", 1, &["net"], mapping)?;
        Ok::<_, Error>(snapshot.networks["net"].keys().cloned().collect::<Vec<_>>())
    };
    let all = Mapping::network("net");
    let named = all.clone().rename("*.num_batches_tracked", "net/*.steps");
    assert_eq!(names(&[count, mean], &all).unwrap(), ["bn.running_mean"]);
    assert_eq!(
        names(&[count, mean], &named).unwrap(),
        ["bn.running_mean", "bn.steps"]
    );
    // Without a batch norm beside it, and as a float, it is a tensor like others.
    assert_eq!(names(&[count], &all).unwrap(), ["bn.num_batches_tracked"]);
    let float: Stored = ("bn.num_batches_tracked", Dtype::F32, &[], &[0; 4]);
    let both = ["bn.num_batches_tracked", "bn.running_mean"];
    assert_eq!(names(&[float, mean], &all).unwrap(), both);
}

#[test]
fn dtypes_that_no_bundle_holds_become_others_with_the_same_values() {
    let weights = weights(&[
        ("bool", Dtype::BOOL, &[2], &[0, 1]),
        ("i8", Dtype::I8, &[2], &[0x80, 0x7F]),
        ("u16", Dtype::U16, &[2], &[0xFF, 0xFF, 1, 0]),
    ]);
    let weights = weights.unwrap();
    let read: Vec<(&str, DType, Vec<f32>)> = weights
        .tensors()
        .map(|(name, tensor)| {
            let wide = tensor.to_dtype(DType::F32).unwrap();
            (name, tensor.dtype(), wide.to_vec1().unwrap())
        })
        .collect();
    let expected = [
        ("bool", DType::U8, vec![0.0, 1.0]),
        ("i8", DType::I16, vec![-128.0, 127.0]),
        ("u16", DType::U32, vec![65535.0, 1.0]),
    ];
    assert_eq!(read, expected);
}

#[test]
fn other_dtypes_are_refused_each_by_name() {
    let read = weights(&[
        ("a", Dtype::F8_E4M3, &[2], &[0, 1]),
        ("b", Dtype::U64, &[1], &[0; 8]),
        ("c", Dtype::U8, &[1], &[0]),
    ]);
    let expected = [
        "`b`: it is of dtype U64, which no bundle can hold",
        "`a`: it is of dtype F8_E4M3, which no bundle can hold",
    ];
    assert_eq!(problems(read), expected);
    let read = weights(&[("a", Dtype::BOOL, &[2], &[0, 2])]);
    let expected = ["`a`: it is of dtype BOOL, and an element is neither 0 nor 1"];
    assert_eq!(problems(read), expected);
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cut.safetensors");
    let whole = fs::read(fixture("cnn.safetensors")).unwrap();
    for length in [0, 7, 8, 100, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Weights::read(&path).unwrap_err();
        assert!(error.is_import(), "{length}: {error}");
    }
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    let problems = problems(Weights::read(&path));
    assert!(problems[0].starts_with("its tensors take "), "{problems:?}");
}

#[test]
fn a_header_that_says_less_than_its_tensors_need_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.safetensors");
    for (header, expected) in [
        (
            r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}}"#,
            "its header is malformed",
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
            "its header is malformed",
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[2]}}"#,
            "its header is malformed",
        ),
        ("[]", "its header is malformed"),
    ] {
        let length = (header.len() as u64).to_le_bytes();
        fs::write(&path, [&length[..], header.as_bytes(), &[0, 0]].concat()).unwrap();
        let problems = problems(Weights::read(&path));
        assert!(problems[0].starts_with(expected), "{header}: {problems:?}");
    }
}

/// A folder with the files of these names, each with tensors of one byte.
fn folder(files: &[(&str, &[&str])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (file, names) in files {
        let tensors: Vec<_> = names
            .iter()
            .map(|name| (*name, &[1][..], &[0][..]))
            .collect();
        write(&folder.path().join(file), &bytes(&tensors));
    }
    folder
}

fn names(weights: &Weights) -> Vec<&str> {
    weights.tensors().map(|(name, _)| name).collect()
}

#[test]
fn a_folder_without_index_has_the_tensors_of_all_its_safetensors_files() {
    let folder = folder(&[("1.safetensors", &["a"]), ("2.safetensors", &["b"])]);
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    fs::write(folder.path().join("training_args.bin"), "").unwrap();
    assert_eq!(names(&Weights::read(folder.path()).unwrap()), ["a", "b"]);

    write(
        &folder.path().join("3.safetensors"),
        &bytes(&[("a", &[1], &[0])]),
    );
    let expected = ["`a`: it is in two files, 1.safetensors and 3.safetensors"];
    assert_eq!(problems(Weights::read(folder.path())), expected);
}

/// A folder of two shards with this index.
fn sharded(weight_map: Value) -> TempDir {
    let shards = [
        ("1.safetensors", &["a", "b"][..]),
        ("2.safetensors", &["c"]),
    ];
    let folder = folder(&shards);
    let index = json!({ "metadata": {}, "weight_map": weight_map });
    let path = folder.path().join("model.safetensors.index.json");
    fs::write(path, index.to_string()).unwrap();
    folder
}

#[test]
fn the_shards_of_an_index_are_read_and_no_other_file() {
    let index = json!({ "a": "1.safetensors", "b": "1.safetensors" });
    let folder = sharded(index);
    assert_eq!(names(&Weights::read(folder.path()).unwrap()), ["a", "b"]);
    let path = folder.path().join("model.safetensors.index.json");
    assert_eq!(names(&Weights::read(path).unwrap()), ["a", "b"]);
}

#[test]
fn an_index_that_does_not_say_what_its_shards_hold_is_refused() {
    let index = json!({ "a": "2.safetensors", "c": "2.safetensors", "d": "1.safetensors" });
    let expected = [
        "`a`: the index has it in 2.safetensors, and it is in 1.safetensors",
        "`d`: the index has it in 1.safetensors, and it is in no shard",
        "`b`: it is in 1.safetensors, and the index does not name it",
    ];
    assert_eq!(problems(Weights::read(sharded(index).path())), expected);
}

#[test]
fn shards_that_are_missing_or_elsewhere_are_refused() {
    let index = json!({ "a": "1.safetensors", "b": "../1.safetensors", "c": "3.safetensors" });
    let expected = [
        "`../1.safetensors`: a shard is a file beside its index",
        "`3.safetensors`: missing",
    ];
    assert_eq!(problems(Weights::read(sharded(index).path())), expected);
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let folder = sharded(json!({ "a": "1.safetensors", "c": "2.safetensors" }));
    write(
        &folder.path().join("2.safetensors"),
        &bytes(&[("a", &[1], &[0])]),
    );
    let expected = ["`a`: it is in two files, 1.safetensors and 2.safetensors"];
    assert_eq!(problems(Weights::read(folder.path())), expected);
}

#[test]
fn an_index_without_a_weight_map_is_refused() {
    let folder = folder(&[("1.safetensors", &["a"])]);
    let path = folder.path().join("model.safetensors.index.json");
    fs::write(&path, "{}").unwrap();
    let problems = problems(Weights::read(path));
    assert!(
        problems[0].starts_with("missing field `weight_map`"),
        "{problems:?}"
    );
}

#[test]
fn several_pytorch_files_or_indices_are_refused_with_their_names() {
    let folder = TempDir::new().unwrap();
    for name in ["b.pt", "a.bin"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let expected = ["it holds the PyTorch files a.bin, b.pt: name one of them"];
    assert_eq!(problems(Weights::read(folder.path())), expected);
    for name in ["a.safetensors.index.json", "b.safetensors.index.json"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let names = "a.safetensors.index.json, b.safetensors.index.json";
    let expected = [format!("it holds the indices {names}: name one of them")];
    assert_eq!(problems(Weights::read(folder.path())), expected);
}

#[cfg(feature = "torch")]
#[test]
fn the_one_pytorch_file_of_a_folder_is_read() {
    let folder = TempDir::new().unwrap();
    fs::copy(
        fixture("tagger.pt"),
        folder.path().join("pytorch_model.bin"),
    )
    .unwrap();
    assert_eq!(Weights::read(folder.path()).unwrap().tensors().len(), 11);
}

#[test]
fn what_is_no_file_of_weights_is_refused() {
    let folder = TempDir::new().unwrap();
    let problem = problems(Weights::read(folder.path())).remove(0);
    assert_eq!(
        problem,
        "it holds no file of weights: .safetensors, .pt, .pth or .bin"
    );
    let path = folder.path().join("weights.onnx");
    fs::write(&path, "").unwrap();
    let problem = problems(Weights::read(path)).remove(0);
    assert!(problem.starts_with("its name is not that of"), "{problem}");
    let error = Weights::read(folder.path().join("nothing")).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}
