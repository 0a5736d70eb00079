//! What training leaves alone, to and from the note of the provenance that holds it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::snapshot::{Provenance, Snapshot};

/// The topic of the note.
const FROZEN: &str = "frozen";

/// The provenance of the snapshot, with a note if anything is frozen.
pub(super) fn noted(snapshot: &Snapshot) -> Provenance {
    let mut provenance = snapshot.provenance.clone();
    provenance.remove_note(FROZEN);
    if !snapshot.frozen.is_empty() {
        let parts = snapshot.frozen.iter().cloned();
        provenance.note(FROZEN, parts.map(Value::String).collect());
    }
    provenance
}

/// What the note says, and the provenance without it.
pub(super) fn read(mut provenance: Provenance) -> Result<(BTreeSet<String>, Provenance), String> {
    let Some(note) = provenance.remove_note(FROZEN) else {
        return Ok((BTreeSet::new(), provenance));
    };
    let parts =
        serde_json::from_value(note).map_err(|error| format!("the note `{FROZEN}`: {error}"))?;
    Ok((parts, provenance))
}
