use super::*;

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

fn written(name: &str, rows: usize) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let file = File::create(&path).unwrap();
    let mut writer = LatentWriter::file(file, LatentFormat::of(&path).unwrap(), WIDTH).unwrap();
    for row in 0..rows {
        let start = row % 3 * WIDTH;
        writer
            .write(&["CCO"], &LATENTS[start..start + WIDTH])
            .unwrap();
    }
    writer.finish().unwrap();
    (folder, path)
}

fn read_all(path: &Path) -> Result<Vec<f32>> {
    let mut reader = LatentReader::open(path)?;
    let mut all = Vec::new();
    loop {
        let latents = reader.read(1000)?;
        if latents.is_empty() {
            return Ok(all);
        }
        all.extend(latents);
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn csv(text: &str) -> Result<Vec<f32>> {
    LatentReader::csv(text.as_bytes(), "test.csv")?.read(100)
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
        "test.csv:1: there is no column `z0`; the columns of latents are z0, z1, …"
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
        "elements of type `<i8`; expected float32 or float64"
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
    assert_eq!(
        npy_error(fortran),
        "an array in Fortran order; save `numpy.ascontiguousarray(latents)`"
    );
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
    let error = writer.write(&["C", "CC"], &[1.0, 2.0]).unwrap_err();
    assert_eq!(error.to_string(), "2 values for 2 molecules of 2 each");
}
