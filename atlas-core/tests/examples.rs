//! The examples do what they say.

#[expect(dead_code, reason = "its `main` is for `cargo run`")]
#[path = "../examples/classifier.rs"]
mod classifier;

use atlas_core::Bundle;
use tempfile::TempDir;

#[test]
fn a_classifier_is_trained_saved_loaded_and_served_from_threads() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lines");
    let share = classifier::run(&path).unwrap();
    assert!(share > 0.95, "{share}");
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(bundle.model(), "line-classifier");
    assert!(bundle.has_golden() && bundle.findings().is_empty());
}
