//! What is drawn: the curves of a run, maps, and molecules.

use crate::support::{MOLECULES, Scene};

fn svg(bytes: Vec<u8>) -> String {
    let svg = String::from_utf8(bytes).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(!svg.contains("NaN"));
    svg
}

#[test]
fn training_draws_its_curves_and_a_resumed_run_draws_them_anew() {
    let scene = Scene::trained();
    let first = svg(scene.read("bundle.run/curves.svg"));
    for title in [
        "loss",
        "loss: reconstruction",
        "loss: kl",
        "held-out molecules",
    ] {
        assert!(first.contains(&format!(">{title}</text>")), "{title}");
    }
    // After each of two epochs the loss, its parts and two shares; six steps of each loss.
    assert_eq!(first.matches("<circle").count(), 2 * 5 + 6 * 3);
    scene
        .atlas("train --out bundle --resume --epochs 3")
        .success();
    let second = svg(scene.read("bundle.run/curves.svg"));
    assert_eq!(second.matches("<circle").count(), 3 * 5 + 9 * 3);
}

#[test]
fn a_map_has_a_point_for_each_molecule_and_is_the_same_every_time() {
    let scene = Scene::trained();
    let output = scene.atlas("map bundle --data tiny.smi -o map.svg");
    assert!(
        output.stderr.contains("map.svg: 24 molecules"),
        "{}",
        output.stderr
    );
    output.success();
    let map = svg(scene.read("map.svg"));
    assert_eq!(map.matches("<circle").count(), MOLECULES.len());
    assert!(map.contains(">tokens<") && map.contains("first principal component"));
    let printed = scene
        .atlas("map bundle --data tiny.smi --colour length")
        .success();
    assert_eq!(printed, map);
    let few = scene
        .atlas("map bundle --data tiny.smi --points 5")
        .success();
    assert_eq!(few.matches("<circle").count(), 5);
}

#[test]
fn a_map_of_one_molecule_has_one_point() {
    let scene = Scene::trained();
    let map = scene.atlas_reading("map bundle", "CCO\n").success();
    assert_eq!(svg(map.into_bytes()).matches("<circle").count(), 1);
}

#[test]
fn what_is_sampled_and_what_is_between_two_molecules_is_drawn_and_written_as_ever() {
    let scene = Scene::trained();
    for (command, cells) in [
        ("sample bundle -n 7 --seed 3", 7),
        ("interpolate bundle CCO CCN --steps 4", 5),
    ] {
        let without = scene.atlas(command).success();
        let with = scene.atlas(&format!("{command} --grid grid.svg")).success();
        assert_eq!(with, without);
        let grid = svg(scene.read("grid.svg"));
        assert_eq!(grid.matches("<g transform").count(), cells);
    }
}

#[test]
fn a_drawing_does_not_take_the_place_of_the_strings() {
    let scene = Scene::trained();
    let error = scene
        .atlas("sample bundle -o new.svg --grid new.svg")
        .failure();
    assert_eq!(
        error,
        "cannot write new.svg: another output of this command goes there"
    );
    assert!(!scene.path("new.svg").exists());
}
