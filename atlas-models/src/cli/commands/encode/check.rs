//! `atlas encode --check`: whether all shards of a folder are there and whole.

use std::path::Path;

use rayon::prelude::*;
use serde_json::json;

use super::part::{self, PartNote};
use crate::cli::failure::{Failure, Result};
use crate::cli::terminal::output;
use crate::cli::terminal::text::{count, grouped};
use crate::cli::terminal::values::path_json;
use crate::data::Shard;

/// Checks every part, and says what is wrong.
pub fn run(folder: &Path, as_json: bool) -> Result {
    let mut findings = Vec::new();
    let names = part::names(folder)?;
    let of_table = names.iter().filter(|name| name.ends_with(".parquet"));
    let (parts, others): (Vec<_>, Vec<_>) =
        of_table.partition(|name| part::shard_of(name).is_some());
    if parts.is_empty() {
        return Err(Failure::new(format_args!(
            "{} holds no part of any shard",
            folder.display()
        )));
    }
    for name in others {
        let path = folder.join(name);
        findings.push(format!("{}: no part of a shard", path.display()));
    }
    let checked: Vec<_> = parts.par_iter().map(|name| check(folder, name)).collect();
    let mut notes: Vec<PartNote> = Vec::new();
    for (name, checked) in parts.iter().zip(checked) {
        let note = match checked {
            Ok(note) => note,
            Err(error) => {
                findings.push(error.to_string());
                continue;
            }
        };
        if let Some(first) = notes.first() {
            for (what, there, here) in first.differences(&note) {
                findings.push(format!(
                    "{}: {what}: {there}, and in {} {here}",
                    folder.join(name).display(),
                    first.file_name()
                ));
            }
        }
        notes.push(note);
    }
    let mut missing = Vec::new();
    let shards = notes.first().map(|first| first.run.shards);
    if let Some(shards) = shards {
        // A part that is there and damaged was named.
        let is_there = |shard| parts.contains(&&part::file_name(shard, shards));
        missing = (0..shards).filter(|shard| !is_there(*shard)).collect();
        if !missing.is_empty() {
            findings.push(format!(
                "{}: {} of {} missing: {}",
                folder.display(),
                grouped(missing.len()),
                count(usize::try_from(shards).unwrap_or(usize::MAX), "shard"),
                ranges(&missing)
            ));
        }
    }
    let rows: u64 = notes.iter().map(|note| note.rows).sum();
    let skipped: u64 = notes.iter().map(|note| note.skipped).sum();
    let is_whole = findings.is_empty();
    if as_json {
        output::print_json(&json!({
            "folder": path_json(folder),
            "whole": is_whole,
            "bundle": notes.first().map(|first| &first.run.bundle),
            "shards": shards,
            "rows": rows,
            "skipped": skipped,
            "missing": missing,
            "findings": findings,
        }))?;
    } else if let Some(first) = notes.first().filter(|_| is_whole) {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        output::print(&format!(
            "{}: whole: {} of {} in {}, {} skipped, of the bundle {}\n",
            folder.display(),
            count(number(rows), "row"),
            count(first.run.files, "file"),
            count(number(first.run.shards), "shard"),
            grouped(number(skipped)),
            first.run.bundle
        ))?;
    } else {
        let lines: String = findings.iter().map(|line| format!("{line}\n")).collect();
        output::print(&lines)?;
    }
    if is_whole {
        Ok(())
    } else {
        Err(Failure::NegativeAnswer)
    }
}

/// What a part says of itself.
///
/// # Errors
/// If it is not whole, or not what its name says.
fn check(folder: &Path, name: &str) -> atlas_core::Result<PartNote> {
    let path = folder.join(name);
    let (mut file, note) = part::open(&path)?;
    file.check()?;
    let shard = Shard {
        index: note.shard,
        count: note.run.shards,
    };
    let range = shard.range(note.run.bytes);
    if note.file_name() != name || note.range != [range.start, range.end] {
        return Err(atlas_core::Error::new(format_args!(
            "{}: it is of the bytes {} to {} of {}, shard {} of {}, which its name does not say",
            path.display(),
            note.range[0],
            note.range[1],
            note.run.bytes,
            note.shard,
            note.run.shards
        )));
    }
    Ok(note)
}

/// Numbers as an array of jobs names them: `1,4-7`.
fn ranges(numbers: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => ranges.push((number, number)),
        }
    }
    let range = |(begin, end): (u64, u64)| match end - begin {
        0 => begin.to_string(),
        _ => format!("{begin}-{end}"),
    };
    let texts: Vec<String> = ranges.into_iter().map(range).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_shards_are_named_as_an_array_of_jobs() {
        assert_eq!(ranges(&[0]), "0");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    }
}
