//! What a save writes, what it leaves alone, and what is equal.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use atlas_core::Bundle;
use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, VarBuilder, linear};
use serde_json::json;
use tempfile::TempDir;

#[expect(dead_code, reason = "networks are built here, and not all are run")]
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Auto {
    #[param(default = 5, min = 1)]
    width: usize,
    #[param(default = 3, min = 1)]
    latent_size: usize,
    #[network(with = encoder)]
    encoder: Linear,
    #[network(with = decoder)]
    decoder: Linear,
}

fn encoder(params: &AutoParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(
        params.width,
        params.latent_size,
        vb.pp("\"quoted\".ünïcode"),
    )
}

fn decoder(params: &AutoParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.latent_size, params.width, vb)
}

/// [`Auto`] with everything declared the other way round.
mod turned {
    use super::*;

    #[expect(dead_code, reason = "networks are built here, and not all are run")]
    #[derive(AtlasModel)]
    #[atlas(unchecked, name = "auto")]
    pub struct Turned {
        #[param(default = 3, min = 1)]
        pub latent_size: usize,
        #[param(default = 5, min = 1)]
        pub width: usize,
        #[network(with = decoder)]
        pub decoder: Linear,
        #[network(with = encoder)]
        pub encoder: Linear,
    }

    fn encoder(params: &TurnedParams, vb: VarBuilder) -> candle_core::Result<Linear> {
        linear(
            params.width,
            params.latent_size,
            vb.pp("\"quoted\".ünïcode"),
        )
    }

    fn decoder(params: &TurnedParams, vb: VarBuilder) -> candle_core::Result<Linear> {
        linear(params.latent_size, params.width, vb)
    }
}

fn auto(seed: u64) -> Model<Auto> {
    Auto::create_with(AutoParams::default(), CreateOptions::new().seed(seed)).unwrap()
}

/// The names and bytes of all files in a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("auto");
    (folder, path)
}

#[test]
fn a_bundle_is_its_files_and_nothing_else() {
    let (folder, path) = place();
    auto(7).save(&path).unwrap();
    assert_eq!(
        names(&path),
        ["atlas.json", "decoder.safetensors", "encoder.safetensors"]
    );
    assert_eq!(names(folder.path()), ["auto"]);
}

#[test]
fn tensor_files_are_as_safetensors_writes_them() {
    let (_folder, path) = place();
    let model = auto(7);
    model.save(&path).unwrap();
    for network in model.networks() {
        let expected = safetensors::serialize(network.tensors(), None).unwrap();
        assert_eq!(
            fs::read(path.join(format!("{}.safetensors", network.name()))).unwrap(),
            expected
        );
    }
}

#[test]
fn a_seed_gives_the_same_files_with_any_number_of_threads() {
    let save = |threads| {
        let (_folder, path) = place();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| auto(7).save(&path)).unwrap();
        let mut files = files(&path);
        files.remove("atlas.json");
        (files, Bundle::open(&path).unwrap().digest().to_owned())
    };
    let one = save(1);
    assert_eq!(one.0.len(), 2);
    assert_eq!(save(2), one);
    assert_eq!(save(8), one);
}

#[test]
fn the_digest_of_a_model_is_that_of_its_bundle() {
    let (_folder, path) = place();
    let model = auto(7);
    model.save(&path).unwrap();
    let digest = model.digest().unwrap();
    assert_eq!(Bundle::open(&path).unwrap().digest(), digest);
    assert_eq!(Auto::load(&path).unwrap().digest().unwrap(), digest);
    assert_eq!(digest.len(), 64);
}

#[test]
fn equal_models_have_equal_digests_whatever_their_provenance() {
    let mut model = auto(7);
    model
        .provenance_mut()
        .note("training", json!({ "loss": 0.5 }));
    assert_eq!(model.digest().unwrap(), auto(7).digest().unwrap());
    assert_ne!(model.digest().unwrap(), auto(8).digest().unwrap());
    let wide = AutoParams {
        width: 6,
        ..Default::default()
    };
    let wide = Auto::create_with(wide, CreateOptions::new().seed(7)).unwrap();
    assert_ne!(wide.digest().unwrap(), model.digest().unwrap());
}

#[test]
fn the_order_of_declarations_is_no_part_of_a_model() {
    let (_folder, path) = place();
    auto(7).save(&path).unwrap();
    let turned = turned::Turned::load(&path).unwrap();
    assert_eq!(turned.digest().unwrap(), auto(7).digest().unwrap());
}

#[test]
fn one_changed_bit_changes_the_digest() {
    let model = auto(7);
    let before = model.digest().unwrap();
    let (_, var) = model.vars().remove(0);
    let mut values = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values[0] = f32::from_bits(values[0].to_bits() ^ 1);
    var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap())
        .unwrap();
    assert_ne!(model.digest().unwrap(), before);
}

#[test]
fn notes_come_back() {
    let (_folder, path) = place();
    let mut model = auto(7);
    let note = json!({ "losses": [0.1, 1e-7, -0.0, 3], "text": "\u{0}\n\"é", "none": null, "nested": { "a": [[]] } });
    model.provenance_mut().note("training", note.clone());
    model.save(&path).unwrap();
    assert_eq!(
        Auto::load(&path).unwrap().provenance().notes()["training"],
        note
    );
}

#[test]
fn a_note_that_no_load_could_read_is_refused_by_the_save() {
    let (folder, path) = place();
    let mut model = auto(7);
    model
        .provenance_mut()
        .note("deep", (0..200).fold(json!(1), |inner, _| json!([inner])));
    let error = model.save(&path).unwrap_err();
    assert!(error.is_refused(), "{error}");
    assert!(error.to_string().contains("recursion limit"), "{error}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn saving_over_a_bundle_replaces_it() {
    let (folder, path) = place();
    auto(7).save(&path).unwrap();
    auto(8).save(&path).unwrap();
    assert_eq!(
        Bundle::open(&path).unwrap().digest(),
        auto(8).digest().unwrap()
    );
    assert_eq!(names(folder.path()), ["auto"]);
}

#[test]
fn a_save_creates_the_folders_above_and_fills_an_empty_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("runs/today/auto");
    auto(7).save(&path).unwrap();
    Bundle::open(&path).unwrap().verify().unwrap();

    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    auto(7).save(&empty).unwrap();
    Bundle::open(&empty).unwrap().verify().unwrap();
}

#[test]
fn names_of_any_length_and_script_are_places() {
    let folder = TempDir::new().unwrap();
    for name in [
        "a".repeat(255),
        "дом".to_owned(),
        "-".to_owned(),
        "with space".to_owned(),
        ".hidden".to_owned(),
    ] {
        let path = folder.path().join(name);
        auto(7).save(&path).unwrap();
        auto(7).save(&path).unwrap();
        Bundle::open(&path).unwrap().verify().unwrap();
    }
    assert_eq!(names(folder.path()).len(), 5);
}

/// A save to `path` is refused with `why`, and leaves everything under `folder` as it is.
#[track_caller]
fn assert_refused(folder: &Path, path: &Path, why: &str) {
    let before = tree(folder);
    let error = auto(7).save(path).unwrap_err();
    assert!(error.is_refused(), "{error}");
    assert_eq!(
        error.to_string(),
        format!("refused to save to {}: {why}", path.display())
    );
    assert_eq!(tree(folder), before);
}

/// Every path under a folder, with the bytes of files and the targets of links.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut tree = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            tree.extend(self::tree(&entry.path()));
        }
        let bytes = match () {
            () if kind.is_file() => Some(fs::read(entry.path()).unwrap()),
            () if kind.is_symlink() => Some(
                fs::read_link(entry.path())
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes(),
            ),
            () => None,
        };
        tree.insert(entry.path(), bytes);
    }
    tree
}

#[test]
fn a_folder_that_is_not_a_bundle_is_refused_and_left_as_it_is() {
    let (folder, path) = place();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("model.safetensors"), "mine").unwrap();
    assert_refused(
        folder.path(),
        &path,
        "the folder is not empty and not a bundle",
    );
}

#[test]
fn what_others_left_in_a_bundle_stays_where_it_is() {
    let (folder, path) = place();
    auto(8).save(&path).unwrap();
    let name = |bytes: &[u8]| std::ffi::OsStr::from_bytes(bytes).to_owned();
    for foreign in [
        &b"notes.txt"[..],
        b".DS_Store",
        b"extra.safetensors",
        b"\xff",
    ] {
        fs::write(path.join(name(foreign)), "mine").unwrap();
    }
    fs::create_dir(path.join(".cache")).unwrap();
    fs::write(path.join(".cache/x"), "theirs").unwrap();
    symlink("nowhere", path.join("link")).unwrap();
    let foreign = Bundle::open(&path).unwrap().foreign_names().unwrap();
    assert_eq!(foreign.len(), 6);
    let own = Bundle::open(&path).unwrap().file_names();
    let theirs = || {
        let mut tree = tree(&path);
        tree.retain(|path, _| !own.contains(&*path.file_name().unwrap().to_string_lossy()));
        tree
    };
    let before = theirs();
    auto(7).save(&path).unwrap();
    assert_eq!(theirs(), before);
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(bundle.digest(), auto(7).digest().unwrap());
    assert_eq!(bundle.foreign_names().unwrap(), foreign);
    assert_eq!(names(folder.path()), ["auto"]);
}

#[test]
fn a_file_of_ones_own_under_a_name_of_the_new_bundle_is_not_lost() {
    let (folder, path) = place();
    Hollow::create(HollowParams::default())
        .unwrap()
        .save(&path)
        .unwrap();
    fs::write(path.join("encoder.safetensors"), "mine").unwrap();
    let before = tree(folder.path());
    let error = auto(7).save(&path).unwrap_err();
    assert!(error.is_refused(), "{error}");
    let why = "`encoder.safetensors` in it is not part of the bundle and would be lost";
    assert!(error.to_string().ends_with(why), "{error}");
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn a_folder_with_a_manifest_that_is_none_is_refused_and_left_as_it_is() {
    let (folder, path) = place();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("atlas.json"), "{}").unwrap();
    let before = tree(folder.path());
    let error = auto(7).save(&path).unwrap_err();
    assert!(error.is_refused(), "{error}");
    assert!(
        error
            .to_string()
            .contains("looks like a bundle, but cannot be read as one"),
        "{error}"
    );
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn a_path_that_is_a_file_is_refused_and_left_as_it_is() {
    let (folder, path) = place();
    fs::write(&path, "mine").unwrap();
    assert_refused(
        folder.path(),
        &path,
        "it is a file, and a bundle is a folder",
    );
}

#[test]
fn a_save_through_a_link_replaces_the_bundle_where_it_leads() {
    let (folder, path) = place();
    let real = folder.path().join("runs/real");
    auto(8).save(&real).unwrap();
    symlink("runs/real", &path).unwrap();
    assert!(Bundle::check_save_target(&path).unwrap());
    auto(7).save(&path).unwrap();
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("runs/real"));
    let digest = auto(7).digest().unwrap();
    assert_eq!(Bundle::open(&real).unwrap().digest(), digest);
    assert_eq!(names(&folder.path().join("runs")), ["real"]);
    assert_eq!(names(folder.path()), ["auto", "runs"]);

    // A link to where there is nothing yet, and one that leads in a circle.
    fs::remove_dir_all(&real).unwrap();
    auto(7).save(&path).unwrap();
    assert_eq!(Bundle::open(&real).unwrap().digest(), digest);
    let circle = folder.path().join("circle");
    symlink("circle", &circle).unwrap();
    let why = "it is a symbolic link that leads to no folder";
    assert_refused(folder.path(), &circle, why);
}

#[test]
fn a_path_without_a_name_is_refused() {
    let folder = TempDir::new().unwrap();
    assert_refused(
        folder.path(),
        &folder.path().join(".."),
        "the path does not end in a name",
    );
}

#[test]
fn a_path_below_a_file_is_an_error_that_names_it() {
    let (_folder, path) = place();
    fs::write(&path, "mine").unwrap();
    let error = auto(7).save(path.join("below")).unwrap_err();
    assert!(error.is_io(), "{error}");
    assert!(
        error
            .to_string()
            .contains(&path.join("below").display().to_string()),
        "{error}"
    );
}

#[test]
fn a_read_only_folder_is_an_error_and_the_old_bundle_stays() {
    let (folder, path) = place();
    auto(8).save(&path).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let is_enforced = fs::create_dir(folder.path().join("probe")).is_err();
    if is_enforced {
        let error = auto(7).save(&path).unwrap_err();
        assert!(error.is_io(), "{error}");
        assert!(
            error.to_string().starts_with("cannot create the folder "),
            "{error}"
        );
    } else {
        eprintln!("skipped: this user may write to read-only folders");
    }
    assert_eq!(
        Auto::load(&path).unwrap().digest().unwrap(),
        auto(8).digest().unwrap()
    );
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_cannot_be_written_to_is_an_error_that_names_the_folder() {
    let error = auto(7).save("/proc/atlas/auto").unwrap_err();
    assert!(error.is_io(), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("cannot create the folder /proc/atlas: "),
        "{error}"
    );
}

#[test]
fn what_a_killed_save_left_behind_is_removed_by_the_next() {
    let (folder, path) = place();
    let left = folder.path().join(".auto.atlas-staging-0123456789abcdef");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("encoder.safetensors"), "half").unwrap();
    // Another bundle's, and a link: not this save's to remove.
    let others = folder.path().join(".other.atlas-staging-0123456789abcdef");
    fs::create_dir(&others).unwrap();
    let precious = folder.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("model.safetensors"), "mine").unwrap();
    symlink(&precious, folder.path().join(".auto.atlas-staging-link")).unwrap();
    auto(7).save(&path).unwrap();
    assert_eq!(
        names(folder.path()),
        [
            ".auto.atlas-staging-link",
            ".other.atlas-staging-0123456789abcdef",
            "auto",
            "precious"
        ]
    );
    assert_eq!(
        fs::read(precious.join("model.safetensors")).unwrap(),
        b"mine"
    );
}

#[test]
fn a_save_under_way_is_not_taken_for_abandoned() {
    let (folder, path) = place();
    let under_way = folder.path().join(".auto.atlas-staging-0123456789abcdef");
    fs::create_dir(&under_way).unwrap();
    let lock = fs::File::open(&under_way).unwrap();
    lock.lock().unwrap();
    auto(7).save(&path).unwrap();
    assert!(under_way.exists());
    drop(lock);
    auto(7).save(&path).unwrap();
    assert!(!under_way.exists());
}

#[test]
fn tensors_that_lie_apart_are_saved_as_they_read() {
    let (_folder, path) = place();
    let model = auto(7);
    let transposed = model
        .encoder
        .weight()
        .t()
        .unwrap()
        .contiguous()
        .unwrap()
        .t()
        .unwrap();
    assert!(!transposed.is_contiguous());
    let expected = model.encoder.weight().to_vec2::<f32>().unwrap();
    let (_, var) = model
        .vars()
        .into_iter()
        .find(|(name, _)| name.ends_with("weight"))
        .unwrap();
    var.set(&transposed).unwrap();
    model.save(&path).unwrap();
    assert_eq!(
        Auto::load(&path)
            .unwrap()
            .encoder
            .weight()
            .to_vec2::<f32>()
            .unwrap(),
        expected
    );
}

/// A network without elements, and one with several.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Hollow {
    #[param(default = 0)]
    width: usize,
    #[network(with = hollow)]
    net: Vec<Tensor>,
}

fn hollow(params: &HollowParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
    ["b", "a", "c"]
        .iter()
        .map(|name| vb.get((params.width, 4), name))
        .collect()
}

#[test]
fn tensors_without_elements_come_back() {
    let (_folder, path) = place();
    Hollow::create(HollowParams::default())
        .unwrap()
        .save(&path)
        .unwrap();
    let loaded = Hollow::load(&path).unwrap();
    assert_eq!(
        loaded.net.iter().map(Tensor::dims).collect::<Vec<_>>(),
        [[0, 4]; 3]
    );
}

#[test]
fn every_float_dtype_is_saved_and_loaded() {
    for dtype in [DType::F64, DType::F16, DType::BF16] {
        let (_folder, path) = place();
        let model = Auto::create_with(
            AutoParams::default(),
            CreateOptions::new().seed(7).dtype(dtype),
        )
        .unwrap();
        model.save(&path).unwrap();
        let loaded = Auto::load(&path).unwrap();
        assert_eq!(
            (AnyModel::dtype(&loaded), loaded.encoder.weight().dtype()),
            (dtype, dtype)
        );
        assert_eq!(loaded.digest().unwrap(), model.digest().unwrap());
    }
}
