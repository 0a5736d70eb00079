//! A folder of its own, and `atlas` run in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Molecules that a small model is trained on in a moment.
pub const MOLECULES: [&str; 24] = [
    "CCO",
    "CCN",
    "CCCl",
    "CCBr",
    "CC(=O)O",
    "CC(=O)N",
    "c1ccccc1",
    "Cc1ccccc1",
    "Oc1ccccc1",
    "Nc1ccccc1",
    "CC#N",
    "C1CCCCC1",
    "C1CCNCC1",
    "C1COCCN1",
    "c1ccncc1",
    "c1cc[nH]c1",
    "CCOC",
    "CSC",
    "CC(C)C",
    "CC(C)O",
    "OCCO",
    "NCCN",
    "FC(F)F",
    "O=C=O",
];

/// What `atlas` left behind.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The standard output of a success.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// The standard output of a success, as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.success()).unwrap()
    }

    /// The error of a failure, which printed no result.
    #[track_caller]
    pub fn failure(self) -> String {
        self.error(1)
    }

    /// The error of wrong usage, which printed no result.
    #[track_caller]
    pub fn wrong_usage(self) -> String {
        self.error(2)
    }

    #[track_caller]
    fn error(self, code: i32) -> String {
        let found = (self.code, self.stdout.as_str());
        assert_eq!(found, (Some(code), ""), "{self:?}");
        let stderr = self.stderr.as_str();
        let error = stderr
            .find("error: ")
            .map(|start| &stderr[start + "error: ".len()..]);
        error
            .unwrap_or_else(|| panic!("no error in {stderr}"))
            .trim_end()
            .to_owned()
    }
}

/// A folder.
pub struct Scene {
    folder: TempDir,
}

impl Scene {
    /// A folder with `tiny.smi` in it.
    pub fn new() -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        scene.write(
            "tiny.smi",
            MOLECULES.map(|smiles| format!("{smiles}\n")).concat(),
        );
        scene
    }

    /// A folder with `tiny.smi` and `bundle`, a model that was trained on it for two epochs.
    pub fn trained() -> Self {
        let scene = Self::new();
        scene
            .atlas(&format!("train {} --out bundle", Self::TINY))
            .success();
        scene
    }

    /// What makes training take a moment.
    pub const TINY: &str = "--data tiny.smi --epochs 2 --batch 8 --held-out 4 \
        --set reader.hidden_size=12 --set latent.size=6 --set writer.hidden_size=12 --set writer.layers=1 \
        --set longest=20";

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The lines of a run's `metrics.jsonl` without what a clock says.
    pub fn metrics(&self, run: &str) -> Vec<Value> {
        let text = String::from_utf8(self.read(&format!("{run}.run/metrics.jsonl"))).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let members = line.as_object_mut().unwrap();
            members.remove("seconds").unwrap();
            members.remove("molecules_per_second").unwrap();
            line
        });
        lines.collect()
    }

    /// `atlas`, in the folder; its arguments are separated by white space.
    pub fn command(&self, arguments: &str) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_atlas")), arguments)
    }

    /// `atlas` with the usual handling of signals, also where the tests are run with some ignored, as
    /// by `nohup` or in the background of a script.
    pub fn command_that_heeds_signals(&self, arguments: &str) -> Command {
        const USUAL: &str = "--default-signal=HUP,INT,TERM";
        let is_known = Command::new("env").args([USUAL, "true"]).status();
        if !is_known.is_ok_and(|status| status.success()) {
            return self.command(arguments);
        }
        let mut command = self.command_of(Path::new("env"), USUAL);
        command.arg(env!("CARGO_BIN_EXE_atlas"));
        command.args(arguments.split_whitespace());
        command
    }

    fn command_of(&self, program: &Path, arguments: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn atlas(&self, arguments: &str) -> Output {
        self.atlas_reading(arguments, "")
    }

    /// With something on standard input.
    pub fn atlas_reading(&self, arguments: &str, input: &str) -> Output {
        self.run(Path::new(env!("CARGO_BIN_EXE_atlas")), arguments, input)
    }

    /// What a program that has the commands of `atlas` leaves behind.
    pub fn run(&self, program: &Path, arguments: &str, input: &str) -> Output {
        let mut child = self
            .command_of(program, arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input may have ended before all is written.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
