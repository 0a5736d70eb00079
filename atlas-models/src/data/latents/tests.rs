use super::*;
use crate::chem::Smiles;

const WIDTH: usize = 3;

/// A file of every format.
const NAMES: &[&str] = &[
    "x.csv",
    "x.npy",
    #[cfg(feature = "parquet")]
    "x.parquet",
];

/// Values whose text or bytes are easily got wrong.
const LATENTS: [f32; 9] = [
    0.1,
    -0.0,
    1.0,
    f32::MIN_POSITIVE,
    1e-45,
    f32::MAX,
    16_777_217.0,
    -3.402_823e-8,
    0.333_333_34,
];

/// A molecule of the third row, perhaps with a name.
fn record(name: Option<&str>) -> Record {
    Record {
        file: crate::data::InputFile::new(Path::new("x.smi")).into(),
        offset: 12,
        line: 4,
        row: 3,
        smiles: Smiles::parse("CCO").unwrap(),
        name: name.map(str::to_owned),
        weight: None,
    }
}

fn written(name: &str, rows: usize) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let file = File::create(&path).unwrap();
    let mut writer = LatentWriter::file(
        file,
        LatentFormat::of(&path).unwrap(),
        LatentLayout::of_width(WIDTH),
    )
    .unwrap();
    for row in 0..rows {
        let start = row % 3 * WIDTH;
        writer
            .write(&[record(None)], &LATENTS[start..start + WIDTH])
            .unwrap();
    }
    writer.finish().unwrap();
    (folder, path)
}

fn read_all(path: &Path) -> Result<Vec<f32>> {
    read_rows(path).map(|rows| rows.latents)
}

fn read_rows(path: &Path) -> Result<LatentRows> {
    let mut reader = LatentReader::open(path)?;
    let mut all = LatentRows::default();
    loop {
        let rows = reader.read(1000)?;
        if rows.is_empty() {
            return Ok(all);
        }
        all.latents.extend(rows.latents);
        all.names.extend(rows.names);
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn csv(text: &str) -> Result<Vec<f32>> {
    let rows = LatentReader::csv(text.as_bytes(), "test.csv")?.read(100)?;
    Ok(rows.latents)
}

fn csv_error(text: &str) -> String {
    csv(text).unwrap_err().to_string()
}

/// The error of reading a `.npy` file of that header and no more.
fn npy_error(header: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    std::fs::write(&path, bytes).unwrap();
    let error = read_all(&path).unwrap_err().to_string();
    error
        .strip_prefix(&format!("{}: ", path.display()))
        .unwrap()
        .to_owned()
}

#[test]
fn every_format_keeps_every_bit() {
    // More rows than a group of Parquet.
    let rows = 20_001;
    for name in NAMES {
        let (_folder, path) = written(name, rows);
        let expected: Vec<f32> = LATENTS.iter().copied().cycle().take(rows * WIDTH).collect();
        assert!(bits(&read_all(&path).unwrap()) == bits(&expected), "{name}");
    }
}

#[test]
fn equal_latents_have_equal_bytes() {
    for name in NAMES {
        let ((_first, first), (_second, second)) = (written(name, 10), written(name, 10));
        assert_eq!(
            std::fs::read(first).unwrap(),
            std::fs::read(second).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn the_width_is_the_files_own() {
    for name in NAMES {
        let (_folder, path) = written(name, 2);
        assert_eq!(LatentReader::open(&path).unwrap().width(), WIDTH, "{name}");
    }
}

#[test]
fn an_array_begins_as_numpy_wants_it() {
    let (_folder, path) = written("x.npy", 2);
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
    let header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    assert_eq!(&bytes[10..10 + header.len()], header);
    assert!(
        bytes[10 + header.len()..127]
            .iter()
            .all(|byte| *byte == b' ')
    );
    assert_eq!(bytes[127], b'\n');
    assert_eq!(bytes.len(), 128 + 2 * 3 * 4);
    assert_eq!(bytes[128..132], 0.1f32.to_le_bytes());
}

#[test]
fn columns_go_by_their_names() {
    assert_eq!(csv("smiles,z0,z1\nCCO,1,2\n").unwrap(), [1.0, 2.0]);
    assert_eq!(csv("z1,id,z0\n2,7,1\n").unwrap(), [1.0, 2.0]);
}

#[test]
fn a_header_and_the_smiles_may_be_left_out() {
    assert_eq!(csv("1,2\n3,4\n").unwrap(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(csv("CCO,1,2\nC,3,4\n").unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn columns_that_pandas_has_numbered_are_a_header() {
    assert_eq!(csv(",0,1\n0,5,6\n").unwrap(), [5.0, 6.0]);
    assert_eq!(csv("0,1\n5,6\n").unwrap(), [5.0, 6.0]);
}

#[test]
fn what_is_no_number_is_named_by_line_and_column() {
    assert_eq!(
        csv_error("smiles,z0,z1\nCCO,1,2\nCC,1,two\n"),
        "test.csv:3: column 3: `two` is not a finite number"
    );
    assert_eq!(
        csv_error("1,NaN\n"),
        "test.csv:1: column 2: `NaN` is not a finite number"
    );
    assert_eq!(
        csv_error("1e40,1\n"),
        "test.csv:1: column 1: `1e40` is not a finite number"
    );
}

#[test]
fn rows_of_another_length_are_named() {
    assert_eq!(
        csv_error("1,2\n1,2,3\n"),
        "test.csv:2: 3 columns, where the first row has 2"
    );
    assert_eq!(
        csv_error("smiles,z0,z1\nCCO,1\n"),
        "test.csv:2: 2 columns, where the first row has 3"
    );
    assert_eq!(csv_error("CCO\n"), "test.csv:1: there is no latent");
}

#[test]
fn headers_that_name_other_columns_are_refused() {
    assert_eq!(
        csv_error("smiles,x,y\nC,1,2\n"),
        "test.csv:1: there is no column `z0`; the columns of latents are z0, z1, …, and these are \
         smiles, x, y"
    );
    assert_eq!(
        csv_error("z0,z0,z1\n"),
        "test.csv:1: there are two columns `z0`"
    );
    assert_eq!(
        csv_error("smiles,z0,z2\n"),
        "test.csv:1: there is a column `z2` and no column `z1`"
    );
    assert_eq!(csv_error(""), "test.csv holds no latents");
}

#[test]
fn arrays_that_are_not_latents_are_refused() {
    let header = |descr: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
    };
    assert_eq!(
        npy_error(&header("<i8", "(2, 3)")),
        "elements of type `<i8`; expected float16, float32 or float64"
    );
    assert_eq!(
        npy_error(&header("<f4", "(3,)")),
        "an array of shape (3,); expected (rows, latent)"
    );
    assert_eq!(
        npy_error(&header("<f4", "(0, 3)")),
        "an array of shape (0, 3) holds no latents"
    );
    assert_eq!(
        npy_error(&header("<f4", "(2, 3)")),
        "cut off: row 1 of 2 is not there"
    );
    assert_eq!(npy_error("{}"), "its header cannot be read: {}");
    let fortran = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }";
    assert_eq!(npy_error(fortran), "cut off: it has less than 2 rows");
}

#[test]
fn float64_arrays_are_rounded_to_float32() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend([0.1f64, -2.5].iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read_all(&path).unwrap(), [0.1f32, -2.5]);

    bytes.push(0);
    std::fs::write(&path, &bytes).unwrap();
    assert!(
        read_all(&path)
            .unwrap_err()
            .to_string()
            .ends_with("more follows the 1 rows of its header")
    );
}

#[test]
fn what_is_not_the_format_of_its_extension_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("x.npy", "not an array of NumPy: it does not begin as one"),
        #[cfg(feature = "parquet")]
        ("x.parquet", "not a table of Parquet: "),
    ];
    for (name, expected) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, "smiles,z0\nC,1\n").unwrap();
        let error = read_all(&path).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}: {expected}", path.display())),
            "{error}"
        );
    }
}

#[test]
fn an_extension_that_says_nothing_is_refused() {
    assert_eq!(
        LatentFormat::of(Path::new("x.CSV")).unwrap(),
        LatentFormat::Csv
    );
    assert_eq!(LatentFormat::of(Path::new("-")).unwrap(), LatentFormat::Csv);
    let error = LatentFormat::of(Path::new("latents.txt"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "latents.txt: the extension says how latents are laid out; expected .csv, .npy or .parquet"
    );
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_its_feature_parquet_is_refused_with_the_way_to_have_it() {
    let path = Path::new("x.parquet");
    let expected = "x.parquet: this program was built without Parquet; build it with the feature \
                    `parquet` of atlas-models, or use .csv or .npy";
    assert_eq!(LatentFormat::of(path).unwrap_err().to_string(), expected);
    let error = LatentReader::open(path).err().unwrap();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_writer_takes_as_many_latents_as_molecules() {
    let mut writer = LatentWriter::csv(Vec::new(), 2).unwrap();
    let error = writer
        .write(&[record(None), record(None)], &[1.0, 2.0])
        .unwrap_err();
    assert_eq!(error.to_string(), "2 values for 2 molecules of 2 each");
}

/// The files that `fixtures/make.py` writes, by numpy, pandas, polars and pyarrow.
fn fixtures() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/latents/fixtures");
    let paths = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = paths.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| LatentFormat::of(path).is_ok());
    paths
}

#[test]
fn latents_are_read_as_other_programs_write_them() {
    let expected = [
        0.5, -1.25, 3.0, 1.5, 2.0, -0.125, 0.0, 4.0, -8.0, 7.0, 0.25, 1.0,
    ];
    let paths = fixtures();
    assert!(paths.len() >= 10, "{paths:?}");
    for path in paths {
        let rows = read_rows(&path).unwrap();
        assert_eq!(rows.latents, expected, "{}", path.display());
        // However few are read at a time.
        let mut reader = LatentReader::open(&path).unwrap();
        assert_eq!(reader.width(), 3, "{}", path.display());
        for row in expected.chunks(3) {
            assert_eq!(reader.read(1).unwrap().latents, row, "{}", path.display());
        }
        assert_eq!(reader.share(), Some(1.0), "{}", path.display());
        assert!(reader.read(1).unwrap().is_empty(), "{}", path.display());
    }
}

#[test]
fn names_are_read_where_there_are_any() {
    let names = ["ethanol", "", "µ-name", "ethanol"];
    let names = names.map(|name| (!name.is_empty()).then(|| name.to_owned()));
    let mut named = 0;
    for path in fixtures() {
        let rows = read_rows(&path).unwrap();
        if rows.names != [const { None }; 4] {
            assert_eq!(rows.names, names, "{}", path.display());
            named += 1;
        }
    }
    assert_eq!(named, if cfg!(feature = "parquet") { 7 } else { 1 });
}

#[test]
fn rows_keep_their_name_and_number() {
    for name in NAMES.iter().filter(|name| !name.ends_with("npy")) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let file = File::create(&path).unwrap();
        let format = LatentFormat::of(&path).unwrap();
        let mut writer = LatentWriter::file(file, format, LatentLayout::of_width(1)).unwrap();
        let records = [record(Some("a, \"b\"")), record(None)];
        writer.write(&records, &[1.0, 2.0]).unwrap();
        writer.finish().unwrap();
        let rows = read_rows(&path).unwrap();
        assert_eq!(rows.names, [Some("a, \"b\"".to_owned()), None], "{name}");
        assert_eq!(rows.latents, [1.0, 2.0], "{name}");
        if *name == "x.csv" {
            let expected = "smiles,name,row,z0\nCCO,\"a, \"\"b\"\"\",3,1.0\nCCO,,3,2.0\n";
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
    }
}

#[test]
fn an_array_has_a_table_of_its_rows_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let mut table = Vec::new();
    let writer = LatentWriter::file(
        File::create(&path).unwrap(),
        LatentFormat::Npy,
        LatentLayout::of_width(1),
    )
    .unwrap();
    let mut writer = writer.with_table(&mut table).unwrap();
    writer.write(&[record(Some("ethanol"))], &[1.0]).unwrap();
    writer.finish().unwrap();
    assert_eq!(read_all(&path).unwrap(), [1.0]);
    assert_eq!(table, b"smiles,name,row\nCCO,ethanol,3\n");
}

#[test]
fn columns_may_be_called_by_numbers_or_by_another_name_before_them() {
    assert_eq!(csv("smiles,0,1\nC,5,6\n").unwrap(), [5.0, 6.0]);
    assert_eq!(csv("id,mu_1,mu_0\n7,6,5\n").unwrap(), [5.0, 6.0]);
    assert_eq!(csv("dim00,dim01\n5,6\n").unwrap(), [5.0, 6.0]);
    // z0 are the latents, whatever else is numbered.
    assert_eq!(csv("pc0,z0,z1\n7,5,6\n").unwrap(), [5.0, 6.0]);
    // A molecule is no name of a column.
    assert_eq!(csv("CC,0,1\nCC,5,6\n").unwrap(), [0.0, 1.0, 5.0, 6.0]);
}

#[test]
fn columns_that_could_be_meant_are_named() {
    assert_eq!(
        csv_error("name,mu_0,mu_1,pc0\n"),
        "test.csv:1: latents could begin with `mu_0` or `pc0`; call their columns z0, z1, …"
    );
    assert_eq!(
        csv_error("name,mu_0,mu_2\n"),
        "test.csv:1: there is a column `mu_2` and no column `mu_1`"
    );
    assert_eq!(
        csv_error("1,2,3\n0.5,0.5,0.5\n"),
        "test.csv:1: is this row a header or a latent? call the columns of latents z0, z1, …, or \
         write its numbers as 1.0"
    );
}

#[test]
fn arrays_of_an_unknown_version_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    std::fs::write(&path, b"\x93NUMPY\x04\x00\0\0\0\0").unwrap();
    let error = read_all(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("of version 4 of the format; expected 1 to 3"),
        "{error}"
    );
}

#[test]
fn an_array_in_fortran_order_is_as_long_as_its_header_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = source.join("src/data/latents/fixtures/fortran_f4.npy");
    let bytes = std::fs::read(source).unwrap();
    for (bytes, expected) in [
        (
            &bytes[..bytes.len() - 1],
            "cut off: it has less than 4 rows",
        ),
        (
            &[&bytes[..], &[0]].concat(),
            "more follows the 4 rows of its header",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = read_all(&path).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn half_precision_is_the_nearest_and_of_two_the_even() {
    let step = 2f32.powi(-10);
    let pairs = [
        (0.1, 0.099_975_586),
        (1.0 + step / 2.0, 1.0),
        (1.0 + step * 1.5, 1.0 + step * 2.0),
        (-65_519.0, -65_504.0),
        (1e-8, 0.0),
    ];
    for name in NAMES.iter().filter(|name| !name.ends_with("csv")) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let layout = LatentLayout {
            dtype: LatentType::F16,
            ..LatentLayout::of_width(1)
        };
        let file = File::create(&path).unwrap();
        let format = LatentFormat::of(&path).unwrap();
        let mut writer = LatentWriter::file(file, format, layout).unwrap();
        for (value, _) in pairs {
            writer.write(&[record(None)], &[value]).unwrap();
        }
        let error = writer.write(&[record(None)], &[65_520.0]).unwrap_err();
        let expected = "x.smi:4: dimension 0 of the latent is 65520, and the largest number of half \
                        precision is 65504";
        assert_eq!(error.to_string(), expected);
        writer.finish().unwrap();
        assert_eq!(
            read_all(&path).unwrap(),
            pairs.map(|(_, half)| half),
            "{name}"
        );
    }
}
