//! What an error says of itself.

use std::error::Error as _;
use std::io;

use atlas_core::prelude::*;
use atlas_core::{Bundle, candle_core};
use tempfile::TempDir;

/// An error of a library that hides a failure of the disk in its cause.
#[derive(Debug)]
struct Parsing(io::Error);

impl std::fmt::Display for Parsing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot parse: {}", self.0)
    }
}

impl std::error::Error for Parsing {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

#[test]
fn what_main_prints_is_what_is_displayed() {
    let errors = [
        Error::new("no such atom").within("row 3"),
        Error::io("write", "runs/mlp", full()),
        Bundle::open("no/such/folder").unwrap_err(),
    ];
    for error in errors {
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}

#[test]
fn a_failure_of_the_disk_is_one_wherever_it_stands_among_the_causes() {
    for error in [
        Error::io("write", "runs/mlp", full()),
        Error::io("write", "runs/mlp", full()).within("step 3"),
        Error::other(full()),
        Error::other(Parsing(full())).within("row 3"),
        Error::from(candle_core::Error::Io(full())),
        Error::from(candle_core::Error::from(Error::io("read", "x", full()))),
    ] {
        assert!(error.is_io(), "{error}");
    }
    let no_number = "x".parse::<u8>().unwrap_err();
    for error in [Error::new("disk"), Error::other(no_number)] {
        assert!(!error.is_io(), "{error}");
    }
}

#[test]
fn a_cause_is_kept_as_the_source() {
    let source = Error::other(Parsing(full()));
    let source = source.source().unwrap().downcast_ref::<Parsing>().unwrap();
    assert_eq!(source.0.kind(), io::ErrorKind::StorageFull);

    let error = Error::io("read", "x", full());
    let source = error.source().unwrap().downcast_ref::<io::Error>();
    assert_eq!(source.unwrap().kind(), io::ErrorKind::StorageFull);
    assert!(Error::new("text").source().is_none());
}

#[test]
fn an_error_that_is_wrapped_again_stays_what_it_is() {
    let error = Error::other(Error::io("read", "x", full()).within("row 1"));
    assert!(error.is_io() && error.to_string().starts_with("row 1: cannot read x: "));
}

#[test]
fn a_newer_format_is_a_version_and_no_corruption() {
    let folder = TempDir::new().unwrap();
    let newer = "{\n  \"atlas\": 2,\n  \"more\": true\n}\n";
    std::fs::write(folder.path().join("atlas.json"), newer).unwrap();
    let error = Bundle::open(folder.path()).unwrap_err();
    assert!(error.is_version() && !error.is_corrupt(), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("atlas.json: it is of format 2; this program reads up to 1"),
        "{error}"
    );
}
