//! The bundles that are kept in the repository.

use atlas_models::chem;

use crate::support::Scene;

const ZINC_MUV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bundles/zinc-muv");

/// Drugs, as RDKit spells them.
const DRUGS: [&str; 8] = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "CC(C)Cc1ccc(C(C)C(=O)O)cc1",
    "COc1ccc2[nH]cc(CCNC(C)=O)c2c1",
    "CCOC(=O)c1ccc(N)cc1",
    "CN(C)CCc1c[nH]c2ccc(O)cc12",
    "CC(=O)Nc1ccc(O)cc1",
    "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1",
];

#[test]
fn a_bundle_that_is_kept_reads_and_writes_drugs_and_draws_molecules() {
    let scene = Scene::new();
    scene.atlas(&format!("verify {ZINC_MUV}")).success();
    scene.write("drugs.smi", DRUGS.join("\n"));
    scene
        .atlas(&format!("encode {ZINC_MUV} -i drugs.smi -o z.npy"))
        .success();
    let written = scene
        .atlas(&format!("decode {ZINC_MUV} -i z.npy --beam 5"))
        .success();
    let form = |text: &str| chem::canonical(text).unwrap();
    let same = written
        .lines()
        .zip(DRUGS)
        .filter(|(line, drug)| form(line) == form(drug));
    // Processors round otherwise.
    assert!(same.count() >= 6, "{written}");
    // Its tokens are SELFIES: no guide is needed.
    let drawn = scene.atlas(&format!("sample {ZINC_MUV} -n 200")).success();
    for string in drawn.lines() {
        assert!(chem::canonical(string).is_ok(), "{string}");
    }
}
