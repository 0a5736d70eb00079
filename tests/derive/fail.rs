//! What the derives refuse: every message, at the tokens that are wrong.
//!
//! Each file in `fail` is compiled against the libraries that this test was built with, and what
//! the compiler says is compared with the `.stderr` file beside it. `ATLAS_UI=write cargo test -p
//! atlas-tests --test derive_fail` writes these files: read what changes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn every_mistake_has_its_message_at_its_tokens() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases: Vec<PathBuf> = fs::read_dir(tests.join("derive/fail"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    let libraries = Libraries::found();
    let output = tempfile::tempdir().unwrap();
    let mut differences = String::new();
    for case in cases {
        let name = case.strip_prefix(tests).unwrap();
        let found = libraries.messages(tests, name, output.path());
        let expected = case.with_extension("stderr");
        if std::env::var_os("ATLAS_UI").is_some_and(|value| value == "write") {
            fs::write(expected, found).unwrap();
        } else if found != fs::read_to_string(&expected).unwrap_or_default() {
            // Writing into a string cannot fail.
            let _ = write!(differences, "\n==== {}\n{found}", expected.display());
        }
    }
    assert!(differences.is_empty(), "other messages:{differences}");
}

/// The libraries that this test was built with.
struct Libraries {
    folder: PathBuf,
    atlas_core: PathBuf,
}

impl Libraries {
    /// Those beside this program. Of several builds of `atlas-core` the newest is of today's source,
    /// since this test was built just now; it finds the libraries that it was built with.
    fn found() -> Self {
        let program = std::env::current_exe().unwrap();
        let folder = program.parent().unwrap().to_owned();
        let entries = fs::read_dir(&folder).unwrap().map(Result::unwrap);
        let builds = entries.filter(|entry| {
            let file = entry.file_name().into_string().unwrap_or_default();
            file.starts_with("libatlas_core-") && file.ends_with(".rlib")
        });
        let newest = builds.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
        Self {
            atlas_core: newest.expect("a library of this build").path(),
            folder,
        }
    }

    /// What the compiler says of a program, without what depends on the machine.
    fn messages(&self, tests: &Path, name: &Path, output: &Path) -> String {
        let workspace = tests.parent().unwrap();
        let is_renamed = name.file_stem().is_some_and(|stem| stem == "renamed");
        let extern_name = if is_renamed { "atlas" } else { "atlas_core" };
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let compiled = Command::new(rustc)
            // Where the libraries of the workspace were compiled, whose lines messages quote.
            .current_dir(workspace)
            .arg(Path::new("tests").join(name))
            .args([
                "--edition",
                "2024",
                "--emit",
                "metadata",
                "--color",
                "never",
            ])
            .arg("--out-dir")
            .arg(output)
            .arg("-L")
            .arg(format!("dependency={}", self.folder.display()))
            .arg("--extern")
            .arg(format!("{extern_name}={}", self.atlas_core.display()))
            .args(["-A", "unused"])
            .output()
            .unwrap();
        assert!(!compiled.status.success(), "{} compiles", name.display());
        normal(&String::from_utf8(compiled.stderr).unwrap(), workspace)
    }
}

/// Messages without paths of the machine, without the numbers of lines that are not the case's, and
/// with margins of one width.
fn normal(messages: &str, workspace: &Path) -> String {
    let workspace = workspace.display().to_string();
    let mut normal = String::new();
    let (mut is_own, mut is_list) = (true, false);
    for line in messages.lines() {
        let text = line.trim_start();
        let is_indented = text.len() < line.len() || text.starts_with(|c: char| c.is_ascii_digit());
        is_list &= is_indented && !text.starts_with(['=', '|']);
        let is_summary = SUMMARY.iter().any(|summary| line.starts_with(summary));
        let arrow = ["--> ", "::: "]
            .into_iter()
            .find(|arrow| text.starts_with(arrow));
        let (number, code) = text.split_once('|').unwrap_or((text, ""));
        let number = number.trim_end();
        let is_code = text.contains('|') && number.chars().all(|c| c.is_ascii_digit());
        let line = if is_summary {
            continue;
        } else if let Some(arrow) = arrow {
            let path = &text[arrow.len()..];
            let own = path
                .strip_prefix("tests/")
                .filter(|path| path.starts_with("derive/"));
            is_own = own.is_some();
            let path = own.map_or_else(|| foreign(path, &workspace), str::to_owned);
            format!("    {arrow}{path}")
        } else if is_indented && is_code {
            let number = if is_own { number } else { "" };
            format!("{number:>4} |{code}")
        } else if is_indented && text.starts_with("= ") {
            format!("     {text}")
        } else if is_indented && is_list {
            continue;
        } else if is_indented && text != "..." {
            format!("          {text}")
        } else {
            text.to_owned()
        };
        // Which types it lists depends on features.
        is_list |= line.contains("the following other types implement trait");
        normal.push_str(line.trim_end());
        normal.push('\n');
    }
    format!("{}\n", normal.trim_end())
}

/// How the lines begin that sum up all messages.
const SUMMARY: [&str; 3] = [
    "error: aborting due to",
    "For more information about",
    "Some errors have",
];

/// The path of a file that is not a case, without what depends on the machine and on versions.
fn foreign(path: &str, workspace: &str) -> String {
    // The line and the column.
    let path = path.rsplitn(3, ':').last().unwrap_or(path);
    if let Some((_, file)) = path.split_once("/registry/src/") {
        let file = file.split_once('/').map_or(file, |(_, file)| file);
        let (package, file) = file.split_once('/').unwrap_or((file, ""));
        let package = package.rsplit_once('-').map_or(package, |(name, _)| name);
        return format!("$CARGO/{package}-$VERSION/{file}");
    }
    if let Some((_, file)) = path.split_once("/library/") {
        return format!("$RUST/{file}");
    }
    if let Some(file) = path.strip_prefix(workspace) {
        return format!("$WORKSPACE{file}");
    }
    // A library of the workspace was compiled at its root.
    format!("$WORKSPACE/{path}")
}
