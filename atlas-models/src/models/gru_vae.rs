//! The recurrent variational autoencoder of MOSES.

use atlas_core::Snapshot;
use atlas_core::prelude::*;
use serde_json::{Value, json};

use super::parts::{
    GruReader, GruReaderParams, GruWriter, GruWriterParams, LatentEncoder, LatentParams, Prior,
    TokenParams, check_vocabulary,
};
use super::{Architecture, VOCABULARY, add_standard_prior};
use crate::autoencoder;
use crate::chem::Vocabulary;

/// A GRU reads the tokens into a latent vector, a GRU writes them from it.
///
/// The variational autoencoder of MOSES (Polykarpov et al., "Molecular Sets", 2020), of its shape
/// by default: one layer of 256 units reads, three of 512 write, 128 latent dimensions. The
/// decoder sees the latent at every step, and starts from a linear map of it.
///
/// Kingma and Welling's bound (2014) is minimised as the cross-entropy *summed* over a molecule's
/// tokens plus the weighted divergence summed over the latent dimensions.
#[derive(AtlasModel)]
#[atlas(name = "gru-vae", version = 2, migrate(1 => name_parts), golden)]
pub struct GruVae {
    /// The tokens in the order of their ids, the special ones first. Training takes them from the
    /// data.
    #[param(len = 4..=65_536, check = check_vocabulary)]
    pub vocabulary: Vec<String>,
    /// Tokens after which decoding gives up on a molecule that has not ended.
    #[param(default = 200, min = 1, max = 100_000)]
    pub longest: usize,
    /// How molecules are written as tokens.
    #[param(nested)]
    pub tokens: TokenParams,
    /// The GRU that reads.
    #[param(nested)]
    pub reader: GruReaderParams,
    /// The latent between reading and writing.
    #[param(nested)]
    pub latent: LatentParams,
    /// The GRU that writes.
    #[param(nested)]
    pub writer: GruWriterParams,
    /// Components of the fitted prior; 0 for the standard normal.
    #[param(default = 0, max = 1000)]
    pub prior_components: usize,

    #[derived(with = tokenizer)]
    tokenizer: Vocabulary,
    #[network(with = encoder)]
    encoder: LatentEncoder<GruReader>,
    #[network(with = decoder)]
    decoder: GruWriter,
    #[network(with = prior, buffers = ["values"])]
    prior: Prior,
}

autoencoder!(GruVae, GruVaeParams, GruReader => GruWriter);

pub(super) const ARCHITECTURE: Architecture = Architecture {
    name: GruVae::NAME,
    register: |registry| {
        registry.register_with_sizes::<GruVae>(|model| Box::new(model), sizes());
    },
    is_default: true,
    built_in_overrides: || size([256, 96, 320]),
};

/// One layer that writes instead of three: some 0.25, 0.7 and 1.4 million weights, where the
/// defaults have 4.5.
fn sizes() -> Vec<Value> {
    [[128, 64, 192], [256, 96, 320], [256, 128, 512]]
        .map(size)
        .to_vec()
}

fn size([reader, latent, writer]: [usize; 3]) -> Value {
    json!({
        "reader": { "hidden_size": reader, "layers": 1 },
        "latent": { "size": latent },
        "writer": { "hidden_size": writer, "layers": 1 },
    })
}

/// Version 1 had one embedding for both parts, and their parameters in no groups.
fn name_parts(snapshot: &mut Snapshot) -> Result<()> {
    let tokens = snapshot.param(VOCABULARY).and_then(Value::as_array);
    let tokens = json!(tokens.map_or(0, Vec::len));
    let mut take = |name: &str| snapshot.remove_param(name);
    let embedding_size = match take("embedding_size")? {
        Value::Null => tokens,
        width => width,
    };
    let dropout = take("dropout")?;
    let reader = json!({
        "embedding_size": embedding_size,
        "hidden_size": take("encoder_hidden_size")?,
        "layers": take("encoder_layers")?,
        "bidirectional": false,
        "dropout": dropout,
    });
    let writer = json!({
        "embedding_size": embedding_size,
        "hidden_size": take("decoder_hidden_size")?,
        "layers": take("decoder_layers")?,
        "dropout": dropout,
    });
    let latent = json!({ "size": take("latent_size")?, "kind": "gaussian", "free_bits": 0.0 });
    let tokens = json!({
        "notation": "atoms", "read": "as-given", "write": "as-given", "word_dropout": 0.0,
    });
    for (name, group) in [("tokens", tokens), ("reader", reader), ("latent", latent)] {
        snapshot.add_param(name, group)?;
    }
    snapshot.add_param("writer", writer)?;
    snapshot.add_param("prior_components", 0)?;
    let embedding = snapshot.remove_tensor("embedding", "weight")?;
    snapshot.networks.remove("embedding");
    for network in ["encoder", "decoder"] {
        snapshot.set_tensor(network, "embedding.weight", embedding.clone());
    }
    add_standard_prior(snapshot)
}
