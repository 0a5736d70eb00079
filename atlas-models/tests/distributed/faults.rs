//! Processes that are killed, a full disk, a process without the data: what is left can go on.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::Scene;
use crate::{ATLAS, atlas_in, digest, is_there, mpirun, steps, training, wait_until};

/// Runs that are disturbed; `ATLAS_FAULTS` says how many others.
const DISTURBED: usize = 8;

/// A generator of numbers for places to disturb a run in.
struct Places(u64);

impl Places {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.0 >> 33) % limit as u64) as usize
    }
}

/// `atlas` over MPI, or alone, that runs while the test goes on. What it says goes to a file.
fn start(scene: &Scene, processes: usize, arguments: &str) -> Child {
    let program = if processes == 1 { ATLAS } else { "mpirun" };
    let mut command = Command::new(program);
    if processes > 1 {
        command
            .args(mpirun(processes).split_whitespace())
            .arg(ATLAS);
    }
    let log = File::create(scene.path("log")).unwrap();
    command
        .args(arguments.split_whitespace())
        .current_dir(scene.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The processes that train for `out` in this folder, by their numbers.
fn processes_of(scene: &Scene) -> Vec<u32> {
    let folder = scene.path("").canonicalize().unwrap();
    let running = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        let process = entry.file_name().to_str()?.parse().ok()?;
        // A process that ends loses its folder last, after its files and their locks.
        let is_atlas = fs::read_to_string(entry.path().join("comm")).ok()? == "atlas\n";
        let is_here = fs::read_link(entry.path().join("cwd")).ok()? == folder;
        (is_atlas && is_here).then_some(process)
    });
    let mut running: Vec<u32> = running.collect();
    running.sort_unstable();
    running
}

fn kill(process: u32, signal: &str) {
    // It may have ended by itself.
    let sent = Command::new("kill")
        .args([signal, &process.to_string()])
        .output();
    sent.unwrap();
}

#[test]
fn whatever_process_is_killed_whenever_the_run_ends_as_if_it_had_not_been() {
    if !is_there("mpirun") {
        return;
    }
    let runs = std::env::var("ATLAS_FAULTS")
        .ok()
        .and_then(|runs| runs.parse().ok());
    let mut places = Places(runs.unwrap_or(DISTURBED) as u64);
    let scene = Scene::new();
    let whole = digest(scene.atlas(&training("whole")));
    let mut disturbed = 0;
    for number in 0..runs.unwrap_or(DISTURBED) {
        let out = format!("run-{number}");
        let (first, then) = ([2, 4][places.below(2)], [1, 2, 4, 8][places.below(4)]);
        let mut child = start(&scene, first, &training(&out));
        let until = places.below(18);
        let mut has_ended = false;
        wait_until("a step", || {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || steps(&scene, &out) >= until
        });
        let running = processes_of(&scene);
        if let Some(process) = running.get(places.below(first)) {
            kill(*process, ["-KILL", "-TERM"][places.below(2)]);
        }
        disturbed += usize::from(!child.wait().unwrap().success());
        wait_until("the others end", || processes_of(&scene).is_empty());
        let resumed = format!("{} --resume=or-start", training(&out));
        let output = atlas_in(&scene, then, &resumed);
        assert_eq!(
            digest(output),
            whole,
            "{out}: {first} to {then} processes, at step {until}"
        );
        scene.atlas(&format!("verify {out}")).success();
    }
    eprintln!("{disturbed} runs were disturbed");
    assert!(disturbed > 0);
}

#[test]
fn a_signal_stops_all_processes_after_the_same_step() {
    if !is_there("mpirun") {
        return;
    }
    let scene = Scene::new();
    let whole = digest(scene.atlas(&training("whole")));
    for asked in [0, 1] {
        let out = format!("asked-{asked}");
        let mut child = start(&scene, 2, &training(&out));
        wait_until("a step", || steps(&scene, &out) >= 3);
        kill(processes_of(&scene)[asked], "-TERM");
        let code = child.wait().unwrap().code();
        let said = String::from_utf8(scene.read("log")).unwrap();
        assert_eq!(code, Some(143), "{said}");
        assert_eq!(said.matches("interrupted in epoch").count(), 1, "{said}");
        let resumed = format!("{} --resume", training(&out));
        assert_eq!(digest(atlas_in(&scene, 4, &resumed)), whole);
    }
}

#[test]
fn a_checkpoint_that_is_asked_for_is_made_and_training_goes_on() {
    if !is_there("mpirun") {
        return;
    }
    let scene = Scene::new();
    let often = training("whole").replace("--epochs 6", "--epochs 40");
    let whole = digest(scene.atlas(&often));
    let rarely = often
        .replace("--checkpoint-minutes 0", "--checkpoint-minutes 60")
        .replace("--out whole", "--out asked");
    let mut child = start(&scene, 2, &rarely);
    wait_until("a step", || steps(&scene, "asked") >= 3);
    // `mpirun` passes it on to every process.
    kill(child.id(), "-USR1");
    wait_until("a checkpoint", || {
        let said = String::from_utf8(scene.read("log")).unwrap();
        said.contains("SIGUSR1: asked.run/checkpoint holds step ")
    });
    assert!(child.wait().unwrap().success());
    let bundle = scene.atlas("inspect asked --json").json();
    assert_eq!(bundle["digest"], whole.as_str());
}

#[test]
fn a_full_disk_ends_all_processes_and_loses_nothing() {
    if !is_there("mpirun") {
        return;
    }
    let scene = Scene::new();
    let disk = scene.path("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
        .arg(&disk)
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let whole = digest(scene.atlas(&training("whole")));
    let mut child = start(&scene, 2, &training("disk/run"));
    wait_until("a step", || steps(&scene, "disk/run") >= 3);
    let mut filler = File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    assert!(!child.wait().unwrap().success());
    let said = String::from_utf8(scene.read("log")).unwrap();
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    drop(filler);
    fs::remove_file(disk.join("filler")).unwrap();
    let resumed = format!("{} --resume", training("disk/run"));
    let resumed = digest(atlas_in(&scene, 4, &resumed));
    let unmounted = Command::new("umount").arg(&disk).status();
    assert!(unmounted.unwrap().success());
    assert_eq!(resumed, whole);
}

#[test]
fn processes_that_do_not_share_the_folder_of_the_run_are_told_by_one() {
    if !is_there("mpirun") {
        return;
    }
    let scene = Scene::new();
    fs::create_dir(scene.path("elsewhere")).unwrap();
    let train = training("here");
    let arguments = format!(
        "{} {ATLAS} {train} : -n 3 --wdir elsewhere {ATLAS} {train}",
        mpirun(1)
    );
    let output = scene.run(Path::new("mpirun"), &arguments, "");
    assert_ne!(output.code, Some(0), "{output:?}");
    let errors = output
        .stderr
        .lines()
        .filter(|line| line.contains("error: "));
    let errors: Vec<&str> = errors.collect();
    assert_eq!(errors.len(), 1, "{output:?}");
    assert!(errors[0].contains("process 1 of 4: "), "{errors:?}");
    assert!(errors[0].contains("here.run/checkpoint"), "{errors:?}");
    // The first process had made its checkpoint.
    let whole = digest(scene.atlas(&training("whole")));
    let resumed = format!("{train} --resume");
    assert_eq!(digest(atlas_in(&scene, 2, &resumed)), whole);
}
