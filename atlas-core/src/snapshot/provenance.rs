//! Where a model comes from: recorded beside its content, never part of its digest.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of candle that Atlas is built with.
const CANDLE: &str = "0.11.1";

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    atlas: String,
    candle: String,
    created: String,
    seed: Option<u64>,
    notes: Map<String, Value>,
}

impl Provenance {
    /// Of a model that comes into being at this moment; without a seed, of one whose tensors
    /// Atlas did not draw.
    pub fn new(seed: Option<u64>) -> Self {
        Self {
            atlas: env!("CARGO_PKG_VERSION").to_owned(),
            candle: CANDLE.to_owned(),
            created: jiff::Timestamp::now().to_string(),
            seed,
            notes: Map::new(),
        }
    }

    /// The version of Atlas that created the model.
    pub fn atlas(&self) -> &str {
        &self.atlas
    }

    /// The version of candle that created the model.
    pub fn candle(&self) -> &str {
        &self.candle
    }

    /// When the model was created: RFC 3339, UTC.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// The seed of the model's initial values; `None` for a model that was not created by Atlas.
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// What training or importing noted, by topic.
    pub fn notes(&self) -> &Map<String, Value> {
        &self.notes
    }

    /// Takes a note away.
    pub(crate) fn remove_note(&mut self, topic: &str) -> Option<Value> {
        self.notes.shift_remove(topic)
    }

    /// Notes something about where the model comes from, such as `training`. A note of the same
    /// topic is replaced. The topic `frozen` is taken: a bundle says there what training leaves
    /// alone.
    pub fn note(&mut self, topic: impl Into<String>, note: Value) {
        self.notes.insert(topic.into(), note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_candle_is_the_one_that_is_built_with() {
        let lock = include_str!("../../../Cargo.lock");
        let package = format!("name = \"candle-core\"\nversion = \"{CANDLE}\"\n");
        assert!(lock.contains(&package), "candle-core is not {CANDLE}");
    }
}
