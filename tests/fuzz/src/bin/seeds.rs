//! Writes what the targets start from: `corpus/TARGET/…` beside this crate's manifest.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use atlas_fuzz::{SubjectParams, WHOLE};
use atlas_models::chem::molecules;

const MOLECULES: [&str; 6] = [
    "[13CH3:1][C@@H](/C=C\\F)[N+](=O)[O-]",
    "C1CC%10CCC1CC%10",
    "c1cc[nH]c1.[Na+].[Cl-]",
    "[2H]C#N",
    "*C$C~[Fe+2]",
    "BrCCClOPSI",
];

const VOCABULARY: &str = "<pad>\n<start>\n<end>\nC\nCl\n(\n[nH]\n)\n=\nO";

const PARAMETERS: [&str; 8] = [
    "{}",
    r#"{"flag": false, "small": 24, "signed": -1, "large": 18446744073709551615, "rate": 5e-324}"#,
    r#"{"wide": 18446744073709551615, "wide_signed": -7, "fraction": 0.1}"#,
    r#"{"side": {"wide": 3, "narrow": 2}, "other": {"narrow": 1}, "more": [{"wide": 9}, {}]}"#,
    r#"{"names": null, "cell": "rnn-2", "pair": [1, 9], "even": 2, "sorted": [], "text": "é"}"#,
    "small=32\nside.wide=9\nmore[0].narrow=1\npair=3,4\nnames=null",
    "sorted=[0.5,1]\nwide=12_000\ncell=lstm\nother={\"wide\":5}\ntext=\"q\"",
    "rate=NaN\nfraction=1e400\nunknown=1\nlarge=-1\nflag",
];

fn main() -> io::Result<()> {
    let manifest = String::from_utf8_lossy(&WHOLE[0]).into_owned();
    write("manifest", [manifest.clone(), fixture()?])?;
    write("parameters", PARAMETERS.map(str::to_owned))?;
    let defaults = atlas_core::params::ParamValue::to_json(&SubjectParams::default());
    write("parameters", [defaults.to_string()])?;
    let built_in = molecules().take(20).map(String::from);
    let given = MOLECULES.into_iter().chain([VOCABULARY]).map(str::to_owned);
    write("smiles", built_in.chain(given))?;
    write("pickle", torch_files()?)
}

/// Files of PyTorch, and the pickles that are in them.
fn torch_files() -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for entry in fs::read_dir(root().join("../../atlas-core/tests/import"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "pt") {
            continue;
        }
        if let Ok(mut archive) = zip::ZipArchive::new(fs::File::open(&path)?) {
            for index in 0..archive.len() {
                // Some cannot be read, on purpose.
                let Ok(mut member) = archive.by_index(index) else {
                    continue;
                };
                let mut pickle = Vec::new();
                if member.name().is_ok_and(|name| name.ends_with("/data.pkl"))
                    && member.read_to_end(&mut pickle).is_ok()
                {
                    seeds.push(pickle);
                }
            }
        }
        seeds.push(fs::read(path)?);
    }
    Ok(seeds)
}

/// A manifest with a value of every kind.
fn fixture() -> io::Result<String> {
    fs::read_to_string(root().join("../../atlas-core/tests/fixtures/format-1/atlas.json"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Each seed in a file that is named after its content.
fn write(target: &str, seeds: impl IntoIterator<Item = impl AsRef<[u8]>>) -> io::Result<()> {
    let folder = root().join("corpus").join(format!("fuzz_target_{target}"));
    fs::create_dir_all(&folder)?;
    for seed in seeds {
        let name = blake3::hash(seed.as_ref()).to_hex();
        fs::write(folder.join(&name[..16]), seed)?;
    }
    Ok(())
}
