//! Files as users have them.

use std::io::Cursor;

use super::*;

fn rows(text: &str, ending: &str, options: RowOptions) -> Result<Rows> {
    Rows::of_text(
        Cursor::new(text.as_bytes().to_vec()),
        "test",
        ending,
        options,
    )
}

type Found = (Vec<(usize, String, Option<String>)>, Vec<SkippedRow>);

/// The rows as line, SMILES and name, and those that are none.
fn all(text: &str, ending: &str, options: RowOptions) -> Found {
    let (mut molecules, mut skipped) = (Vec::new(), Vec::new());
    for row in rows(text, ending, options).unwrap() {
        match row.unwrap() {
            Ok(record) => {
                molecules.push((record.line, record.smiles.to_string(), record.name));
            }
            Err(row) => skipped.push(row),
        }
    }
    (molecules, skipped)
}

fn found(text: &str, ending: &str) -> Vec<(usize, String, Option<String>)> {
    let (molecules, skipped) = all(text, ending, RowOptions::default());
    assert_eq!(skipped, []);
    molecules
}

fn molecule(line: usize, smiles: &str, name: &str) -> (usize, String, Option<String>) {
    let name = (!name.is_empty()).then(|| name.to_owned());
    (line, smiles.to_owned(), name)
}

fn columns(smiles: Option<&str>, name: Option<&str>, weight: Option<&str>) -> RowOptions {
    let column = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    RowOptions {
        smiles_column: column(smiles),
        name_column: column(name),
        weight_column: column(weight),
        ..RowOptions::default()
    }
}

#[test]
fn lines_that_end_in_a_return_are_lines() {
    let expected = [molecule(1, "CCO", "a"), molecule(3, "CCN", "b")];
    for text in [
        "CCO a\r\rCCN b\r",
        "CCO a\n\nCCN b",
        "CCO a\r\n\r\nCCN b\r\n",
    ] {
        assert_eq!(found(text, "smi"), expected);
    }
    let table = [molecule(2, "CCO", "a"), molecule(3, "CCN", "b")];
    assert_eq!(found("id,smiles\ra,CCO\rb,CCN\r", "csv"), table);
}

#[test]
fn tokens_that_blanks_separate_are_no_molecule_and_its_name() {
    for (text, ending) in [
        ("C C ( = O ) N\nc 1 c c c c c 1\n", "smi"),
        ("smiles\nC C ( = O ) N\nc 1 c c c c c 1\n", "csv"),
    ] {
        let (molecules, skipped) = all(text, ending, RowOptions::default());
        assert_eq!((molecules.len(), skipped.len()), (0, 2));
        let why = &skipped[0].why;
        assert_eq!(
            why,
            "tokens that blanks separate: without the blanks it is `CC(=O)N`"
        );
    }
    // A number and a word are names.
    assert_eq!(found("C 1\nN ammonia\n", "smi").len(), 2);
}

#[test]
fn rows_of_several_molecules_do_not_lose_them_in_silence() {
    let mut pairs = rows("CCO CCN\nCCC CC=O\n", "smi", RowOptions::default()).unwrap();
    assert_eq!(pairs.by_ref().count(), 2);
    let error = pairs.remarks().unwrap_err().to_string();
    assert!(
        error.starts_with("test: 2 of 2 names are SMILES, such as `CCN` in line 1"),
        "{error}"
    );
    // One is said, and may be an identifier.
    let mut one = rows("CCO CO\nCCC x1\nCCN x2\n", "smi", RowOptions::default()).unwrap();
    assert_eq!(one.by_ref().count(), 3);
    let remarks = one.remarks().unwrap();
    assert_eq!(
        remarks,
        ["1 of 3 names are SMILES, such as `CO` in line 1; the first column alone is read"]
    );
    // Who names the column knows.
    let options = columns(Some("2"), None, None);
    let mut second = rows("CCO CCN\nCCC CC=O\n", "smi", options).unwrap();
    let smiles: Vec<_> = second
        .by_ref()
        .map(|row| row.unwrap().unwrap().smiles.to_string())
        .collect();
    assert_eq!(smiles, ["CCN", "CC=O"]);
    assert_eq!(second.remarks().unwrap(), [""; 0]);
}

#[test]
fn an_extension_of_smiles_is_counted_and_is_no_name() {
    let text = "CCO |w:1.0| ethanol\nC[C@H](N)O |&1:1|\nCC plain\n";
    let mut read = rows(text, "cxsmiles", RowOptions::default()).unwrap();
    let names: Vec<_> = read
        .by_ref()
        .map(|row| row.unwrap().unwrap().name)
        .collect();
    assert_eq!(
        names,
        [Some("ethanol".to_owned()), None, Some("plain".to_owned())]
    );
    assert_eq!(
        read.remarks().unwrap(),
        ["the extensions (`|…|`) of 2 SMILES are not read"]
    );
    let table = "name,smiles\na,\"CCO |w:1.0|\"\n";
    assert_eq!(found(table, "csv"), [molecule(2, "CCO", "a")]);
}

#[test]
fn tables_are_read_whatever_separates_their_cells() {
    let expected = [
        molecule(2, "CCO", "ethanol, dry"),
        molecule(3, "CCN", "amine"),
    ];
    for (text, ending) in [
        (
            "ID,activity,SMILES\n\"ethanol, dry\",1.5,CCO\namine,2,CCN\n",
            "csv",
        ),
        (
            "ID;activity;SMILES\nethanol, dry;1,5;CCO\namine;2;CCN\n",
            "csv",
        ),
        (
            "ID\tactivity\tSMILES\nethanol, dry\t1\tCCO\namine\t2\tCCN\n",
            "tsv",
        ),
        // The header says so where the name of the file does not.
        (
            "ID\tactivity\tSMILES\nethanol, dry\t1\tCCO\namine\t2\tCCN\n",
            "txt",
        ),
        (
            "ID;activity;SMILES\nethanol, dry;1,5;CCO\namine;2;CCN\n",
            "",
        ),
    ] {
        assert_eq!(found(text, ending), expected, "{text}");
    }
}

#[test]
fn a_cell_may_end_in_a_line_feed_and_rows_are_counted_as_tables_count_them() {
    let text = "smiles,logP\n\"CCO\n\",1\n\"CCN\n\",2\nCQ,3\nCC,4\n";
    let read = rows(text, "csv", RowOptions::default()).unwrap();
    let places: Vec<_> = read
        .map(|row| match row.unwrap() {
            Ok(record) => (record.line, record.row),
            Err(row) => (row.line, row.row),
        })
        .collect();
    assert_eq!(places, [(2, 1), (4, 2), (6, 3), (7, 4)]);
}

#[test]
fn a_header_of_words_is_no_molecule() {
    let text = "smiles zinc_id\nCCO Z1\nCCN Z2\n";
    assert_eq!(
        found(text, "smi"),
        [molecule(2, "CCO", "Z1"), molecule(3, "CCN", "Z2")]
    );
    assert_eq!(found("SMILES\nCCO\n", "txt"), [molecule(2, "CCO", "")]);
    assert_eq!(found("smiles\nCCO\n", "csv"), [molecule(2, "CCO", "")]);
}

#[test]
fn a_table_in_which_no_column_is_clear_is_refused() {
    let refused = |text: &str, ending| {
        let rows = rows(text, ending, RowOptions::default());
        rows.err().unwrap().to_string()
    };
    let why = refused("CO,CCO,1\nCN,CCN,2\n", "csv");
    assert!(
        why.starts_with("test: several columns hold molecules: column 1 (`CO`, …) in 2 of 2 rows"),
        "{why}"
    );
    let why = refused("mol,act\nfoo,1\nbar,2\n", "csv");
    assert!(why.contains("no column is called `smiles`"), "{why}");
    let why = refused("CHEMBL1,CQ\nCHEMBL2,CC\n", "txt");
    assert!(why.contains("column 2 (`CQ`, …) in 1 of 2 rows"), "{why}");
}

#[test]
fn a_row_of_another_width_or_without_a_molecule_is_named() {
    let text = "id,smiles\na,CCO\nb\nc,\nd,CCN,1\ne,CC\n";
    let (molecules, skipped) = all(text, "csv", RowOptions::default());
    assert_eq!(molecules.len(), 2);
    let why: Vec<_> = skipped
        .iter()
        .map(|row| (row.line, row.why.as_str()))
        .collect();
    assert_eq!(
        why,
        [
            (3, "1 columns, where the first row has 2"),
            (4, "the column of SMILES is empty"),
            (5, "3 columns, where the first row has 2"),
        ]
    );
}

#[test]
fn weights_are_numbers_above_zero() {
    let text = "*OC\t35240\n*N*\t64672.5\nC*\t0\nCC*\tmany\n";
    let read = rows(text, "tsv", columns(None, None, Some("2"))).unwrap();
    let (mut weights, mut why) = (Vec::new(), Vec::new());
    for row in read {
        match row.unwrap() {
            Ok(record) => weights.push(record.weight),
            Err(row) => why.push(row.why),
        }
    }
    assert_eq!(weights, [Some(35240.0), Some(64672.5)]);
    assert_eq!(why[0], "the weight `0` is not a finite number above zero");
    assert_eq!(
        why[1],
        "the weight `many` is not a finite number above zero"
    );
}

#[test]
fn a_name_is_on_one_line() {
    let text = "id,smiles\n\"two\nlines\",CCO\n";
    assert_eq!(found(text, "csv"), [molecule(2, "CCO", "two lines")]);
}

#[test]
fn cells_that_are_not_read_may_hold_any_bytes() {
    let bytes = b"id,note,smiles\n1,caf\xe9,CCO\n2,x,C\xe9\n".to_vec();
    let read = Rows::of_text(Cursor::new(bytes), "test", "csv", RowOptions::default());
    let rows: Vec<_> = read.unwrap().map(Result::unwrap).collect();
    assert_eq!(rows[0].as_ref().unwrap().smiles.as_str(), "CCO");
    assert_eq!(rows[1].as_ref().unwrap_err().why, "column 3 is not UTF-8");
}

#[test]
fn molecules_are_drawn_alike_where_that_is_asked_for() {
    let options = RowOptions {
        standardise: "canonical,largest-fragment".parse().unwrap(),
        ..RowOptions::default()
    };
    let (molecules, skipped) = all("OCC.[Na+] a\nc1cccc1 b\n", "smi", options);
    assert_eq!(molecules, [molecule(1, "CCO", "a")]);
    assert!(
        skipped[0].why.starts_with("`c1cccc1`: not a molecule"),
        "{skipped:?}"
    );
}

/// ```python
/// from rdkit import Chem  # 2026.09.1
/// from rdkit.Chem import AllChem
/// mol = Chem.MolFromSmiles("C[C@H](N)C(=O)[O-]")
/// AllChem.Compute2DCoords(mol)
/// mol.SetProp("_Name", "alaninate")
/// mol.SetProp("activity", "1.5")
/// writer = Chem.SDWriter("2d.sdf")
/// writer.write(mol)
/// ```
const SDF: &str = include_str!("alaninate.sdf");

#[test]
fn an_sdf_gives_the_smiles_of_its_structures() {
    let text = format!("{SDF}{}", SDF.replace("alaninate", "again"));
    for ending in ["sdf", ""] {
        let lines = SDF.lines().count();
        assert_eq!(
            found(&text, ending),
            [
                molecule(1, "C[C@H](N)C(=O)[O-]", "alaninate"),
                molecule(lines + 1, "C[C@H](N)C(=O)[O-]", "again"),
            ]
        );
    }
    let options = columns(None, Some("activity"), Some("activity"));
    let read: Vec<_> = rows(SDF, "sdf", options)
        .unwrap()
        .map(|row| row.unwrap().unwrap())
        .collect();
    assert_eq!(
        (read[0].name.as_deref(), read[0].weight),
        (Some("1.5"), Some(1.5))
    );
    let (_, skipped) = all(SDF, "sdf", columns(Some("nothing"), None, None));
    assert_eq!(skipped[0].why, "the record has no field `nothing`");
    let numbered = rows(SDF, "sdf", columns(Some("1"), None, None));
    assert!(numbered.err().unwrap().to_string().contains("have names"));
}

#[test]
fn a_record_of_an_sdf_that_cannot_be_read_is_a_row_that_is_left_out() {
    let broken = SDF.replace("V2000", "V2000\nM  END");
    let text = format!("{broken}{SDF}");
    let (molecules, skipped) = all(&text, "sdf", RowOptions::default());
    assert_eq!((molecules.len(), skipped.len()), (1, 1));
}

#[test]
fn a_quote_that_is_not_closed_takes_no_rows_in_silence() {
    let mut open = rows(
        "smiles,name\nCCO,\"foo\nCCN,bar\nCCC,baz\n",
        "csv",
        RowOptions::default(),
    )
    .unwrap();
    let error = open.find_map(Result::err).unwrap().to_string();
    assert!(
        error.starts_with("test:2: a quote that opens in this row"),
        "{error}"
    );
    let text = "smiles,name\nCCO,\"foo\nCCN,bar\"\nCCC,baz\n";
    let mut closed = rows(text, "csv", RowOptions::default()).unwrap();
    assert_eq!(closed.by_ref().count(), 2);
    let remarks = closed.remarks().unwrap();
    assert!(
        remarks[0].starts_with("cells go over several lines in 1 rows"),
        "{remarks:?}"
    );
    // A quote within a cell is a character.
    assert_eq!(found("smiles,name\nCCO,5\" nail\n", "csv").len(), 1);
}
