//! The option `--grid`: what a command writes, drawn.

use std::fmt::Display;
use std::path::Path;

use crate::chem::grid;
use crate::cli::failure::Result;
use crate::cli::output_file::OutputFile;

/// Even, for pairs of molecules.
const COLUMNS: usize = 6;
/// More molecules than these are too many to look at.
const LARGEST: usize = 500;

/// An SVG of molecules, if one is asked for.
pub struct GridFile {
    file: Option<OutputFile>,
    molecules: Vec<(String, String)>,
}

impl GridFile {
    /// Creates the file.
    ///
    /// # Errors
    /// If there can be no SVG at `path`.
    pub fn create(path: Option<&Path>) -> Result<Self> {
        Ok(Self {
            file: path.map(OutputFile::of_svg).transpose()?,
            molecules: Vec::new(),
        })
    }

    /// Adds a string that should be a molecule; beyond the first 500 nothing is drawn.
    pub fn add(&mut self, smiles: &str, caption: impl Display) {
        if self.file.is_some() && self.molecules.len() < LARGEST {
            let caption = format!("{caption}  {smiles}");
            self.molecules.push((smiles.to_owned(), caption));
        }
    }

    /// Draws the molecules, and puts the file in its place.
    pub fn finish(self) -> Result {
        let Some(mut file) = self.file else {
            return Ok(());
        };
        file.line(grid(&self.molecules, COLUMNS).trim_end())?;
        file.finish()
    }
}
