//! Which columns of a table hold molecules, names and weights.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::chem::Smiles;

/// Columns that a message describes.
const DESCRIBED: usize = 8;
/// What columns of names are called, the first that is found counts.
const NAMES: [&str; 3] = ["name", "id", "title"];

/// A column of a table: by its name in the header, or by its number from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// The number, from 1.
    Number(usize),
    /// The name in the header; capitals count only where two differ in nothing else.
    Name(String),
}

impl FromStr for Column {
    type Err = String;

    /// Digits are a number, anything else is a name.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(0) => Err("columns are numbered from 1".to_owned()),
            Ok(number) => Ok(Self::Number(number)),
            Err(_) => Ok(Self::Name(text.to_owned())),
        }
    }
}

/// The columns that are asked for; those that are not are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub smiles: Option<Column>,
    pub name: Option<Column>,
    pub weight: Option<Column>,
}

/// Where things are in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub smiles: usize,
    pub name: Option<usize>,
    pub weight: Option<usize>,
    pub has_header: bool,
    /// What was found out, and is worth saying.
    pub remark: Option<String>,
}

impl Columns {
    /// Finds the columns by the first rows of a table.
    ///
    /// # Errors
    /// What keeps a column from being known.
    pub fn find(rows: &[Vec<String>], wanted: &Wanted) -> Result<Self, String> {
        let Some(first) = rows.first() else {
            return Ok(Self::default());
        };
        let mut columns = match &wanted.smiles {
            Some(Column::Name(name)) => Self {
                smiles: named(first, name)?,
                has_header: true,
                ..Self::default()
            },
            Some(Column::Number(number)) => Self::numbered(rows, *number)?,
            None => Self::found(rows)?,
        };
        columns.name = columns.place(first, wanted.name.as_ref())?;
        columns.weight = columns.place(first, wanted.weight.as_ref())?;
        if columns.name.is_none() && columns.has_header {
            let called = |name: &str| {
                first
                    .iter()
                    .position(|cell| cell.eq_ignore_ascii_case(name))
            };
            columns.name = NAMES.into_iter().find_map(called);
        }
        Ok(columns)
    }

    /// The first row is a header if it has no molecule where the next row has one.
    fn numbered(rows: &[Vec<String>], number: usize) -> Result<Self, String> {
        let place = position(&rows[0], number)?;
        let is_smiles = |row: &Vec<String>| row.get(place).is_some_and(|cell| is_smiles(cell));
        let has_header = !is_smiles(&rows[0]) && rows.get(1).is_some_and(is_smiles);
        Ok(Self {
            smiles: place,
            has_header,
            remark: has_header.then(|| format!("`{}` is taken for a header", rows[0].join(" "))),
            ..Self::default()
        })
    }

    fn found(rows: &[Vec<String>]) -> Result<Self, String> {
        let header = &rows[0];
        if let Some(smiles) = called_smiles(header)? {
            return Ok(Self {
                smiles,
                has_header: true,
                ..Self::default()
            });
        }
        // A first row that is no molecule may be a header or a mistake: the user knows.
        let all_smiles = |place: &usize| {
            let mut cells = rows.iter().map(|row| row.get(*place));
            cells.all(|cell| cell.is_some_and(|cell| is_smiles(cell)))
        };
        let found: Vec<usize> = (0..header.len()).filter(all_smiles).collect();
        let what = match found[..] {
            [smiles] => {
                return Ok(Self {
                    smiles,
                    ..Self::default()
                });
            }
            [] => "no column is called `smiles`, and none holds molecules alone",
            _ => "several columns hold molecules",
        };
        Err(format!(
            "{what}: {}; name the one to read by --smiles-column",
            describe(rows)
        ))
    }

    fn place(&self, header: &[String], column: Option<&Column>) -> Result<Option<usize>, String> {
        match column {
            None => Ok(None),
            Some(Column::Number(number)) => position(header, *number).map(Some),
            Some(Column::Name(name)) if self.has_header => named(header, name).map(Some),
            Some(Column::Name(name)) => Err(format!(
                "there is no header that could name a column `{name}`; give its number"
            )),
        }
    }
}

fn is_smiles(cell: &str) -> bool {
    Smiles::parse(cell).is_ok()
}

fn position(row: &[String], number: usize) -> Result<usize, String> {
    if number > row.len() {
        return Err(format!(
            "there is no column {number}; the first row has {}",
            row.len()
        ));
    }
    Ok(number - 1)
}

/// The column of that name.
fn named(header: &[String], name: &str) -> Result<usize, String> {
    let same = |cell: &String| cell == name;
    let alike = |cell: &String| cell.eq_ignore_ascii_case(name);
    let listed = || {
        let cells: Vec<String> = header.iter().map(|cell| format!("`{cell}`")).collect();
        cells.join(", ")
    };
    for is_it in [&same as &dyn Fn(&String) -> bool, &alike] {
        match header.iter().filter(|cell| is_it(cell)).count() {
            0 => {}
            1 => return Ok(header.iter().position(is_it).unwrap_or_default()),
            _ => return Err(format!("several columns are called `{name}`")),
        }
    }
    Err(format!(
        "there is no column `{name}`; the columns are {}",
        listed()
    ))
}

/// The column that is called `smiles` or, where none is, the only one whose name says that it holds
/// SMILES, such as `canonical_smiles`.
pub fn called_smiles(header: &[String]) -> Result<Option<usize>, String> {
    let is_exact = |cell: &String| cell.eq_ignore_ascii_case("smiles");
    let speaks_of_it = |cell: &String| cell.to_ascii_lowercase().contains("smiles");
    for is_it in [&is_exact as &dyn Fn(&String) -> bool, &speaks_of_it] {
        let found: Vec<usize> = (0..header.len()).filter(|&at| is_it(&header[at])).collect();
        match found[..] {
            [] => {}
            [place] => return Ok(Some(place)),
            _ => {
                let names: Vec<String> = found
                    .iter()
                    .map(|&place| format!("`{}` (column {})", header[place], place + 1))
                    .collect();
                return Err(format!(
                    "several columns are of SMILES: {}; name the one to read by --smiles-column",
                    names.join(", ")
                ));
            }
        }
    }
    Ok(None)
}

/// How many molecules each column has.
fn describe(rows: &[Vec<String>]) -> String {
    let width = rows[0].len();
    let mut columns: Vec<String> = (0..width.min(DESCRIBED))
        .map(|place| {
            let cells = rows.iter().filter_map(|row| row.get(place));
            let molecules = cells.filter(|cell| is_smiles(cell)).count();
            let shown: String = rows[0][place].chars().take(40).collect();
            format!(
                "column {} (`{shown}`, …) in {molecules} of {} rows",
                place + 1,
                rows.len()
            )
        })
        .collect();
    if width > DESCRIBED {
        columns.push(format!("{} further columns", width - DESCRIBED));
    }
    columns.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Vec<Vec<String>> {
        let row = |line: &str| line.split(',').map(str::to_owned).collect();
        text.lines().map(row).collect()
    }

    fn find(text: &str, smiles: Option<&str>) -> Result<Columns, String> {
        let wanted = Wanted {
            smiles: smiles.map(|column| column.parse().unwrap()),
            ..Wanted::default()
        };
        Columns::find(&table(text), &wanted)
    }

    #[test]
    fn a_column_called_smiles_is_found_however_it_is_written() {
        for header in [
            "id,Smiles",
            "id,SMILES",
            "id,canonical_smiles",
            "mol,smiles",
        ] {
            let columns = find(&format!("{header}\nCO,CCO\n"), None).unwrap();
            assert_eq!((columns.smiles, columns.has_header), (1, true), "{header}");
        }
        let why = find("smiles_in,smiles_out\nC,N\n", None).unwrap_err();
        assert!(
            why.contains("`smiles_in` (column 1), `smiles_out` (column 2)"),
            "{why}"
        );
        let columns = find("canonical_smiles,smiles\nC,N\n", None).unwrap();
        assert_eq!(columns.smiles, 1);
    }

    #[test]
    fn without_a_header_the_only_column_of_molecules_is_read() {
        let columns = find("1,CCO,0.5\n2,CCN,0.25\n", None).unwrap();
        assert_eq!((columns.smiles, columns.has_header), (1, false));
        let why = find("number,structure\n1,CCO\n2,CCN\n", None).unwrap_err();
        assert!(
            why.contains("column 2 (`structure`, …) in 2 of 3 rows"),
            "{why}"
        );
    }

    #[test]
    fn an_identifier_that_is_also_a_molecule_is_never_taken_for_one() {
        let why = find("CO,CCO\nCN,CCN\n", None).unwrap_err();
        assert!(
            why.starts_with("several columns hold molecules: column 1 (`CO`"),
            "{why}"
        );
        let why = find("CO,CCO!\nA1,CCN\n", None).unwrap_err();
        assert!(why.contains("none holds molecules alone"), "{why}");
        assert!(why.contains("column 2 (`CCO!`, …) in 1 of 2 rows"), "{why}");
    }

    #[test]
    fn a_column_is_named_or_numbered() {
        assert_eq!(find("a,b\nC,CCO\n", Some("b")).unwrap().smiles, 1);
        assert_eq!(find("a,b\nC,CCO\n", Some("B")).unwrap().smiles, 1);
        let by_number = find("a,x\nC,CCO\n", Some("2")).unwrap();
        assert_eq!((by_number.smiles, by_number.has_header), (1, true));
        assert!(!find("C,CCO\nC,CCN\n", Some("2")).unwrap().has_header);
        let why = find("a,b\nC,CCO\n", Some("c")).unwrap_err();
        assert_eq!(why, "there is no column `c`; the columns are `a`, `b`");
        let why = find("a,b\nC,CCO\n", Some("3")).unwrap_err();
        assert_eq!(why, "there is no column 3; the first row has 2");
        assert!("0".parse::<Column>().is_err());
    }
}
