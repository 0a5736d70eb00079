//! Jobs of Slurm: the README's scripts, signals, and what is said of a wrong start.

use std::process::Command;

use crate::support::{MOLECULES, Scene};
use crate::{ATLAS, digest, steps, wait_until};

/// The README's scripts of this repository.
const README: &str = include_str!("../../../README.md");

/// Whether there is a Slurm to give jobs to; if not, the test that needs it says so.
fn is_running() -> bool {
    let answer = Command::new("scontrol").arg("ping").output();
    let is_running = answer.is_ok_and(|output| output.status.success());
    if !is_running {
        eprintln!("skipped: no Slurm is running; `.ci/slurm start DIR` starts one");
    }
    is_running
}

/// The script of the README that has these words.
fn script(words: &str) -> String {
    let mut scripts = README.split("```sh\n").skip(1);
    let script =
        scripts.find(|block| block.starts_with("#!/bin/bash\n#SBATCH") && block.contains(words));
    let (script, _) = script.unwrap().split_once("```").unwrap();
    script.to_owned()
}

/// Gives a script to Slurm, with `atlas` among its programs; the number of the job.
fn submit(scene: &Scene, name: &str, script: &str) -> String {
    scene.write(name, script);
    let programs = std::path::Path::new(ATLAS).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut sbatch = Command::new("sbatch");
    sbatch
        .args(["--parsable", "--output=%A.out", name])
        .current_dir(scene.path(""))
        .env("PATH", path);
    let output = sbatch.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What Slurm says of a job under a name such as `JobState`; of an array, of its first element.
fn of_job(job: &str, name: &str) -> String {
    let output = Command::new("scontrol").args(["show", "job", job]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let mut words = text.split_whitespace();
    let start = format!("{name}=");
    let value = words.find_map(|word| word.strip_prefix(&start));
    value.unwrap_or_default().to_owned()
}

fn wait_for_state(job: &str, state: &str) {
    wait_until(&format!("job {job} is {state}"), || {
        of_job(job, "JobState") == state
    });
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The README's training, made small.
fn training(scene: &Scene) -> String {
    scene.write("zinc.smi", scene.read("tiny.smi"));
    let small = Scene::TINY.split_once("--batch").unwrap().1;
    let script = script("atlas train");
    assert!(script.contains("--epochs 100 "), "{script}");
    script.replace("--epochs 100 ", &format!("--epochs 60 --batch {small} "))
}

/// What the same training makes in one process that nobody disturbs.
fn undisturbed(scene: &Scene) -> String {
    let small = Scene::TINY.split_once("--batch").unwrap().1;
    let arguments = "--epochs 60 --train-set shards=4 --out alone --json";
    digest(scene.atlas(&format!(
        "train --data zinc.smi --batch {small} {arguments}"
    )))
}

fn digest_of(scene: &Scene, bundle: &str) -> String {
    let bundle = scene.atlas(&format!("inspect {bundle} --json")).json();
    bundle["digest"].as_str().unwrap().to_owned()
}

#[test]
fn one_script_serves_the_first_start_and_every_requeue() {
    if !is_running() {
        return;
    }
    let scene = Scene::new();
    let script = training(&scene);
    let job = submit(&scene, "train.sh", &script);
    for restarts in 1..=2 {
        wait_until("a step", || steps(&scene, "runs/zinc") >= 20 * restarts);
        run("scancel", &["--signal=USR1", &job]);
        wait_until("a restart", || {
            of_job(&job, "Restarts") == restarts.to_string()
        });
    }
    wait_for_state(&job, "COMPLETED");
    assert_eq!(digest_of(&scene, "runs/zinc"), undisturbed(&scene));
    let said = String::from_utf8(scene.read(&format!("{job}.out"))).unwrap();
    assert_eq!(
        said.matches("there is no runs/zinc.run/checkpoint").count(),
        1,
        "{said}"
    );
    assert_eq!(
        said.matches("going on from runs/zinc.run/checkpoint")
            .count(),
        2,
        "{said}"
    );
}

#[test]
fn a_cancelled_job_leaves_a_checkpoint_that_the_same_script_goes_on_from() {
    if !is_running() {
        return;
    }
    let scene = Scene::new();
    let script = training(&scene);
    let job = submit(&scene, "train.sh", &script);
    wait_until("a step", || steps(&scene, "runs/zinc") >= 20);
    // As at a time limit: SIGTERM to every process. The script's own shell is not signalled.
    run("scancel", &["--signal=TERM", &job]);
    wait_for_state(&job, "FAILED");
    assert_eq!(of_job(&job, "ExitCode"), "143:0");
    let job = submit(&scene, "train.sh", &script);
    wait_for_state(&job, "COMPLETED");
    assert_eq!(digest_of(&scene, "runs/zinc"), undisturbed(&scene));
}

#[test]
fn an_array_of_jobs_encodes_what_one_process_does() {
    if !is_running() {
        return;
    }
    let scene = Scene::trained();
    std::fs::create_dir_all(scene.path("runs")).unwrap();
    std::fs::rename(scene.path("bundle"), scene.path("runs/zinc")).unwrap();
    std::fs::create_dir(scene.path("zinc")).unwrap();
    for (name, molecules) in [("a", &MOLECULES[..9]), ("b", &MOLECULES[9..])] {
        scene.write(&format!("zinc/{name}.smi"), molecules.join("\n"));
    }
    let script = script("atlas encode");
    // Once more, with nothing left to do.
    for _ in 0..2 {
        let job = submit(&scene, "encode.sh", &script);
        for task in 0..4 {
            wait_for_state(&format!("{job}_{task}"), "COMPLETED");
        }
    }
    scene.atlas("encode --check latents").success();
    let encode = "encode runs/zinc -i zinc/*.smi";
    scene
        .atlas(&format!("{encode} --shard 0/1 -o whole"))
        .success();
    let decode = |folder: &str, parts: usize| {
        let decode = |part| {
            let part = format!("{folder}/part-{part:05}-of-{parts:05}.parquet");
            scene
                .atlas(&format!("decode runs/zinc -i {part}"))
                .success()
        };
        (0..parts).map(decode).collect::<String>()
    };
    assert_eq!(decode("latents", 4), decode("whole", 1));
}

#[test]
fn a_job_that_does_not_use_srun_is_told_so_and_an_interactive_one_is_left_alone() {
    if !is_running() {
        return;
    }
    let scene = Scene::new();
    let script = format!(
        "#!/bin/bash\natlas train {} --out \"$SLURM_JOB_ID\"\n",
        Scene::TINY
    );
    for (line, is_told) in [("", true), ("#SBATCH --job-name=interactive\n", false)] {
        let script = script.replace("bash\n", &format!("bash\n{line}"));
        let job = submit(&scene, "train.sh", &script);
        wait_for_state(&job, "COMPLETED");
        let said = String::from_utf8(scene.read(&format!("{job}.out"))).unwrap();
        assert_eq!(said.contains("`srun` was not used"), is_told, "{said}");
    }
}

#[test]
fn processes_that_slurm_does_not_connect_do_not_each_train_alone() {
    if !is_running() {
        return;
    }
    let scene = Scene::new();
    let tasks = |tasks: usize, more: &str| {
        let train = format!("train {} --out b-{tasks} {more}", Scene::TINY);
        let arguments = format!("--mpi=none --overcommit -n {tasks} {ATLAS} {train}");
        scene.run(std::path::Path::new("srun"), &arguments, "")
    };
    let output = tasks(2, "");
    assert_ne!(output.code, Some(0), "{output:?}");
    assert!(
        output
            .stderr
            .contains("2 processes were started, and MPI connects 1"),
        "{output:?}"
    );
    assert!(!scene.path("b-2.run").exists());
    tasks(1, "").success();
    // Only the script of a batch job can be run again.
    let output = tasks(1, "--resume --requeue");
    assert!(
        output.stderr.contains("--requeue: this is no batch job"),
        "{output:?}"
    );
}

#[test]
fn what_cannot_be_put_back_into_the_queue_is_wrong_usage() {
    let scene = Scene::new();
    let arguments = format!("train {} --out b --resume=or-start --requeue", Scene::TINY);
    let error = scene.atlas(&arguments).wrong_usage();
    assert!(
        error.starts_with("--requeue: this is no batch job of Slurm"),
        "{error}"
    );
    assert!(!scene.path("b.run").exists());
}
