use super::*;
use crate::chem::{Smiles, is_same, is_valid, molecules};

/// Made by `tests/fixtures/selfies/fixture.py`: what the Python package writes.
const FIXTURE: &str = include_str!("../../../tests/fixtures/selfies/fixture.tsv");

/// The lines of one kind: what goes in, and what comes out.
fn lines(kind: &str) -> impl Iterator<Item = (&str, &str)> {
    FIXTURE.lines().filter_map(move |line| {
        let mut fields = line.split('\t');
        let is_of_kind = fields.next() == Some(kind);
        is_of_kind.then(|| (fields.next().unwrap(), fields.next().unwrap()))
    })
}

fn encoded(smiles: &str) -> Result<String> {
    encode(&Smiles::parse(smiles).unwrap())
}

#[test]
fn molecules_are_written_as_the_package_writes_them() {
    for (smiles, selfies) in lines("encode") {
        assert_eq!(encoded(smiles).as_deref(), Ok(selfies), "{smiles}");
    }
    assert!(lines("encode").count() > 200);
}

#[test]
fn random_symbols_are_read_as_the_package_reads_them() {
    for (selfies, smiles) in lines("decode") {
        assert_eq!(decode(selfies).as_deref(), Ok(smiles), "{selfies}");
    }
    assert_eq!(lines("decode").count(), 300);
}

#[test]
fn random_symbols_spell_molecules() {
    // Every third string has stereo ring bonds, whose two ends can contradict.
    let of_robust = lines("decode").enumerate().filter(|(n, _)| n % 3 != 2);
    for (_, (selfies, smiles)) in of_robust {
        assert!(smiles.is_empty() || is_valid(smiles), "{selfies}: {smiles}");
    }
}

#[test]
fn a_molecule_survives_selfies() {
    let of_fixture = lines("encode").map(|(smiles, _)| Smiles::parse(smiles).unwrap());
    for smiles in of_fixture.chain(molecules().take(1_000)) {
        // SELFIES has no atom classes.
        if smiles.as_str() != "[CH3:7]C" {
            let decoded = decode(&encode(&smiles).unwrap()).unwrap();
            assert!(is_same(smiles.as_str(), &decoded), "{smiles}: {decoded}");
        }
    }
}

#[test]
fn the_symbols_are_the_whole_string() {
    for (selfies, _) in lines("decode") {
        let read: String = symbols(selfies).map(Result::unwrap).collect();
        assert_eq!(read, selfies);
    }
}

#[test]
fn what_selfies_cannot_write_is_named_at_its_byte() {
    for (smiles, message) in [
        (
            "C*",
            "byte 1: `*` is an attachment point, and SELFIES has none",
        ),
        (
            "C[*:1]",
            "byte 1: `[*:1]` is an attachment point, and SELFIES has none",
        ),
        (
            "C$C",
            "byte 1: `$` is a quadruple bond, and SELFIES has none",
        ),
        (
            "C[P@TB1](F)(F)(F)F",
            "byte 1: `[P@TB1]` has a chirality that SELFIES lacks",
        ),
        (
            "C(C.C)C",
            "byte 3: `.` stands in a branch; SELFIES has it between whole fragments",
        ),
        (
            "C1.C1",
            "byte 1: this ring closes after a dot, and SELFIES closes it before",
        ),
        ("CCl(C)C", "byte 1: `Cl` has 3 bonds, and SELFIES allows 1"),
        (
            "Oc1cccc1",
            "byte 6: no Kekulé structure has a double bond at this `C`",
        ),
    ] {
        assert_eq!(
            encoded(smiles).unwrap_err().to_string(),
            message,
            "{smiles}"
        );
    }
}

#[test]
fn a_ring_of_more_atoms_than_selfies_counts_is_refused() {
    let ring = |atoms: usize| format!("C1{}C1", "C".repeat(atoms - 2));
    assert!(encoded(&ring(4_097)).is_ok());
    let error = encoded(&ring(4_098)).unwrap_err();
    assert!(
        error.to_string().contains("SELFIES counts to 4096"),
        "{error}"
    );
}

#[test]
fn what_is_no_symbol_is_named_at_its_byte() {
    for (selfies, message) in [
        ("C", "byte 0: `C` starts no symbol"),
        ("[C]C", "byte 3: `C` starts no symbol"),
        ("[C][C", "byte 3: `[` is not closed"),
        ("[C][[C]]", "byte 3: `[` is not closed"),
        ("[C]é", "byte 3: `é` starts no symbol"),
        ("[C][Q]", "byte 3: `[Q]` is not a SELFIES symbol"),
        ("[C][]", "byte 3: `[]` is not a SELFIES symbol"),
        ("[C][é]", "byte 3: `[é]` is not a SELFIES symbol"),
        ("[C].[n]", "byte 4: `[n]` is not a SELFIES symbol"),
        ("[F][F][*]", "byte 6: `[*]` is not a SELFIES symbol"),
        ("[CH]", "byte 0: `[CH]` is not a SELFIES symbol"),
        ("[CH9]", "byte 0: `[CH9]` is not a SELFIES symbol"),
        ("[C+]", "byte 0: `[C+]` is not a SELFIES symbol"),
        ("[Branch4]", "byte 0: `[Branch4]` is not a SELFIES symbol"),
        ("[--Ring1]", "byte 0: `[--Ring1]` is not a SELFIES symbol"),
        ("[/Branch1]", "byte 0: `[/Branch1]` is not a SELFIES symbol"),
    ] {
        assert_eq!(
            decode(selfies).unwrap_err().to_string(),
            message,
            "{selfies}"
        );
    }
}

#[test]
fn a_string_without_atoms_spells_none() {
    for selfies in ["", "[Branch1]", "[nop]", ".", "[Ring1]"] {
        assert_eq!(decode(selfies).as_deref(), Ok(""), "{selfies}");
    }
}

#[test]
fn no_depth_of_branches_exhausts_the_stack() {
    let depth = 400;
    let nested = format!("{}C{}", "C(".repeat(depth), ")C".repeat(depth));
    let decoded = decode(&encoded(&nested).unwrap()).unwrap();
    assert_eq!(decoded, nested);
    let branches = "[C][Branch3][P][P][P]".repeat(100_000);
    assert_eq!(decode(&branches).unwrap().matches('C').count(), 100_000);
}
