//! Drawings of molecules as SVG.
//!
//! Where the atoms are, which Kekulé structure is drawn and which bonds are wedges is what RDKit
//! writes into a MOL block with two-dimensional coordinates.

use std::collections::VecDeque;
use std::fmt::Write;

use chematic_smiles::{rdkit_mol_block_2d, rdkit_sanitized_model};

use super::grammar;
use super::validity::graph;
use crate::svg::{cut, escape};

/// A cell of a grid, in pixels.
const CELL: [f64; 2] = [280.0, 230.0];
/// The bottom of a cell, which the caption takes.
const CAPTION: f64 = 24.0;
/// What stays free around a drawing: half a label.
const MARGIN: f64 = 22.0;
/// Characters of a caption in a cell's width.
const CAPTION_LENGTH: usize = 36;
/// Characters of a line of text in place of a drawing, and how many lines there may be.
const TEXT: [usize; 2] = [34, 8];
/// Pixels of the unit of MOL blocks, an angstrom: a bond is 1.5 of them.
const SCALE: f64 = 18.0;
/// The font of labels, in pixels.
const FONT: f64 = 13.0;
/// How far the lines of a double bond are from each other, as a share of its length.
const GAP: f64 = 0.16;
/// Half of the broad end of a wedge, as a share of its length.
const WEDGE: f64 = 0.12;

/// An SVG of molecules in rows of `columns` cells: each is a SMILES with its caption.
///
/// The structure is drawn with its stereochemistry, as RDKit lays it out. A string that is no
/// molecule, or one that cannot be drawn, such as a complex with dative bonds, has its text in its
/// cell. Captions that are longer than a cell are cut.
///
/// ```
/// use atlas_models::chem::grid;
///
/// let svg = grid(&[("CC(=O)O".to_owned(), "acetic acid".to_owned())], 4);
/// assert!(svg.starts_with("<svg") && svg.contains("acetic acid"));
/// ```
pub fn grid(molecules: &[(String, String)], columns: usize) -> String {
    let columns = columns.clamp(1, molecules.len().max(1));
    let rows = molecules.len().div_ceil(columns);
    let (width, height) = (columns as f64 * CELL[0], rows as f64 * CELL[1]);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, (smiles, caption)) in molecules.iter().enumerate() {
        let left = (number % columns) as f64 * CELL[0];
        let top = (number / columns) as f64 * CELL[1];
        let body = match Structure::of(smiles) {
            Some(structure) => structure.draw(),
            None => text_cell(smiles),
        };
        let (x, y) = (CELL[0] / 2.0, CELL[1] - CAPTION / 3.0);
        let caption = escape(&cut(caption, CAPTION_LENGTH));
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<g transform=\"translate({left} {top})\">\n{body}<text x=\"{x}\" y=\"{y:.1}\" \
             font-size=\"11\" text-anchor=\"middle\">{caption}</text>\n</g>"
        );
    }
    svg + "</svg>\n"
}

/// A text where a molecule would be.
fn text_cell(text: &str) -> String {
    let [length, lines] = TEXT;
    let text = cut(text, length * lines);
    let characters: Vec<char> = text.chars().collect();
    let mut body = String::new();
    for (line, characters) in characters.chunks(length).enumerate() {
        let line_text = escape(&characters.iter().collect::<String>());
        let y = MARGIN + 10.0 + 18.0 * line as f64;
        let _ = writeln!(
            body,
            "<text x=\"{MARGIN}\" y=\"{y}\" font-size=\"11\" font-family=\"monospace\" \
             fill=\"#888\">{line_text}</text>"
        );
    }
    body
}

/// A point or a direction.
type Vector = [f64; 2];

fn sum(left: Vector, right: Vector) -> Vector {
    [left[0] + right[0], left[1] + right[1]]
}

fn scaled(vector: Vector, factor: f64) -> Vector {
    vector.map(|x| x * factor)
}

/// The direction from one point to another, and how far it is.
fn direction(from: Vector, to: Vector) -> (Vector, f64) {
    let way = sum(to, scaled(from, -1.0));
    let length = way[0].hypot(way[1]);
    (scaled(way, 1.0 / length.max(1e-9)), length)
}

struct Atom {
    place: Vector,
    symbol: String,
    hydrogens: u8,
    charge: i32,
    isotope: u32,
}

struct Bond {
    ends: [usize; 2],
    order: u8,
    /// As in a MOL block: 1 is a wedge towards the viewer, 6 one away.
    stereo: u8,
}

/// What is drawn of a molecule.
struct Structure {
    atoms: Vec<Atom>,
    bonds: Vec<Bond>,
    /// Bonds of each atom, with the atom at their other end.
    around: Vec<Vec<(usize, usize)>>,
}

impl Structure {
    fn of(smiles: &str) -> Option<Self> {
        grammar::check(smiles).ok()?;
        let molecule = graph(smiles).ok()?;
        let block = rdkit_mol_block_2d(&molecule).ok()?;
        let mut structure = Self::of_block(&block)?;
        let sanitized = rdkit_sanitized_model(&molecule).ok()?;
        let kept = sanitized.atoms.into_iter().flatten();
        for (atom, (_, _, hydrogens)) in structure.atoms.iter_mut().zip(kept) {
            atom.hydrogens = hydrogens;
        }
        structure.fit();
        Some(structure)
    }

    /// Reads a MOL block of version V2000 ("CTfile Formats", BIOVIA 2020).
    fn of_block(block: &str) -> Option<Self> {
        let mut lines = block.lines().skip(3);
        let counts = lines.next().filter(|line| line.contains("V2000"))?;
        let number = |line: &str, from: usize, to: usize| -> Option<f64> {
            line.get(from..to)?.trim().parse().ok()
        };
        let count = |from, to| number(counts, from, to).map(|count| count as usize);
        let (atom_count, bond_count) = (count(0, 3)?, count(3, 6)?);
        let atoms = lines.by_ref().take(atom_count).map(|line| {
            let place = [number(line, 0, 10)?, -number(line, 10, 20)?];
            let symbol = match line.get(31..34)?.trim() {
                "R" | "R#" | "A" | "*" => "*",
                symbol => symbol,
            };
            Some(Atom {
                place,
                symbol: symbol.to_owned(),
                hydrogens: 0,
                charge: 0,
                isotope: 0,
            })
        });
        let mut atoms = atoms.collect::<Option<Vec<_>>>()?;
        let bonds = lines.by_ref().take(bond_count).map(|line| {
            let field = |at: usize| number(line, 3 * at, 3 * at + 3);
            let ends = [field(0)? as usize - 1, field(1)? as usize - 1];
            (ends[0].max(ends[1]) < atom_count).then_some(())?;
            Some(Bond {
                ends,
                order: field(2)? as u8,
                stereo: field(3)? as u8,
            })
        });
        let bonds = bonds.collect::<Option<Vec<_>>>()?;
        for line in lines {
            let (Some(property), Some(values)) = (line.get(..6), line.get(9..)) else {
                continue;
            };
            let values: Vec<i32> = values.split_whitespace().flat_map(str::parse).collect();
            for pair in values.chunks_exact(2) {
                let atom = usize::try_from(pair[0] - 1).ok();
                let Some(atom) = atom.and_then(|atom| atoms.get_mut(atom)) else {
                    continue;
                };
                match property {
                    "M  CHG" => atom.charge = pair[1],
                    "M  ISO" => atom.isotope = pair[1].unsigned_abs(),
                    _ => {}
                }
            }
        }
        let mut around = vec![Vec::new(); atoms.len()];
        for (bond, &Bond { ends: [a, b], .. }) in bonds.iter().enumerate() {
            around[a].push((bond, b));
            around[b].push((bond, a));
        }
        Some(Self {
            atoms,
            bonds,
            around,
        })
    }

    /// Puts the atoms into a cell.
    fn fit(&mut self) {
        let mut low = [f64::INFINITY; 2];
        let mut high = [f64::NEG_INFINITY; 2];
        for atom in &self.atoms {
            for axis in 0..2 {
                low[axis] = low[axis].min(atom.place[axis]);
                high[axis] = high[axis].max(atom.place[axis]);
            }
        }
        let room = [CELL[0] - 2.0 * MARGIN, CELL[1] - CAPTION - 2.0 * MARGIN];
        let scale = (0..2).fold(SCALE, |scale: f64, axis| {
            scale.min(room[axis] / (high[axis] - low[axis]).max(1e-9))
        });
        for atom in &mut self.atoms {
            for axis in 0..2 {
                let from_middle = atom.place[axis] - (low[axis] + high[axis]) / 2.0;
                atom.place[axis] = MARGIN + room[axis] / 2.0 + scale * from_middle;
            }
        }
    }

    fn draw(&self) -> String {
        let mut svg = String::new();
        for bond in 0..self.bonds.len() {
            self.draw_bond(bond, &mut svg);
        }
        for atom in 0..self.atoms.len() {
            self.draw_label(atom, &mut svg);
        }
        svg
    }

    /// Whether an atom is more than a corner where bonds meet.
    fn has_label(&self, atom: usize) -> bool {
        let Atom {
            symbol,
            charge,
            isotope,
            ..
        } = &self.atoms[atom];
        let bonds = &self.around[atom];
        // The middle of an allene is on a straight line.
        let is_straight =
            bonds.len() == 2 && bonds.iter().all(|&(bond, _)| self.bonds[bond].order == 2);
        symbol != "C" || *charge != 0 || *isotope != 0 || bonds.is_empty() || is_straight
    }

    fn draw_bond(&self, number: usize, svg: &mut String) {
        let Bond {
            ends,
            order,
            stereo,
        } = self.bonds[number];
        let [mut from, mut to] = ends.map(|end| self.atoms[end].place);
        let (way, length) = direction(from, to);
        let free = (0.55 * FONT).min(0.35 * length);
        if self.has_label(ends[0]) {
            from = sum(from, scaled(way, free));
        }
        if self.has_label(ends[1]) {
            to = sum(to, scaled(way, -free));
        }
        let across = [-way[1], way[0]];
        let (gap, wedge) = (GAP * length, WEDGE * length);
        let mut line = |from: Vector, to: Vector| {
            let _ = writeln!(
                svg,
                "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"black\" stroke-width=\"1.4\" \
                 stroke-linecap=\"round\"/>",
                from[0], from[1], to[0], to[1]
            );
        };
        let mut beside = |shift: f64, shorter: f64| {
            let shift = scaled(across, shift);
            let from = sum(sum(from, shift), scaled(way, shorter));
            let to = sum(sum(to, shift), scaled(way, -shorter));
            line(from, to);
        };
        match (order, stereo) {
            (2, _) => match self.side_of_second_line(number, across) {
                0.0 => [-0.5, 0.5]
                    .iter()
                    .for_each(|shift| beside(shift * gap, 0.0)),
                side => {
                    beside(0.0, 0.0);
                    beside(side * gap, 0.1 * length);
                }
            },
            (3, _) => [-1.0, 0.0, 1.0]
                .iter()
                .for_each(|shift| beside(shift * 0.8 * gap, 0.0)),
            (_, 1) => {
                let [left, right] = [wedge, -wedge].map(|shift| sum(to, scaled(across, shift)));
                let _ = writeln!(
                    svg,
                    "<path d=\"M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}Z\"/>",
                    from[0], from[1], left[0], left[1], right[0], right[1]
                );
            }
            (_, 6) => {
                let strokes = 7;
                for stroke in 1..=strokes {
                    let share = f64::from(stroke) / f64::from(strokes);
                    let middle = sum(scaled(from, 1.0 - share), scaled(to, share));
                    let half = scaled(across, wedge * share);
                    line(sum(middle, half), sum(middle, scaled(half, -1.0)));
                }
            }
            _ => beside(0.0, 0.0),
        }
    }

    /// On which side of a double bond, in the direction `across`, its second line is: 1 or -1, or 0
    /// where the lines are on both sides.
    fn side_of_second_line(&self, number: usize, across: Vector) -> f64 {
        let ends = self.bonds[number].ends;
        let ring = self.ring(number);
        let of_neighbours = || {
            let around = ends.iter().flat_map(|&end| &self.around[end]);
            let others = around.map(|&(_, other)| other);
            others.filter(|other| !ends.contains(other)).collect()
        };
        let is_last = |end: usize| self.around[end].len() == 1;
        if ring.is_none() && ends.iter().any(|&end| is_last(end) || self.has_label(end)) {
            return 0.0;
        }
        let beside: Vec<usize> = ring.unwrap_or_else(of_neighbours);
        let from = self.atoms[ends[0]].place;
        let distances = beside.iter().map(|&atom| {
            let way = sum(self.atoms[atom].place, scaled(from, -1.0));
            way[0] * across[0] + way[1] * across[1]
        });
        distances.sum::<f64>().signum()
    }

    /// The other atoms of the smallest ring that a bond is in.
    fn ring(&self, number: usize) -> Option<Vec<usize>> {
        let [start, end] = self.bonds[number].ends;
        let mut before = vec![None; self.atoms.len()];
        let mut pending = VecDeque::from([start]);
        while let Some(atom) = pending.pop_front() {
            for &(bond, next) in &self.around[atom] {
                if bond != number && next != start && before[next].is_none() {
                    before[next] = Some(atom);
                    pending.push_back(next);
                }
            }
        }
        let way_back = std::iter::successors(before[end], |&atom| before[atom]);
        let ring: Vec<usize> = way_back.filter(|&atom| atom != start).collect();
        (!ring.is_empty()).then_some(ring)
    }

    fn draw_label(&self, number: usize, svg: &mut String) {
        if !self.has_label(number) {
            return;
        }
        let atom = &self.atoms[number];
        let [x, y] = atom.place;
        let hydrogens = match atom.hydrogens {
            0 => String::new(),
            1 => "H".to_owned(),
            several => format!("H{}", shifted(&several.to_string(), 0.25)),
        };
        let sign = if atom.charge < 0 { "−" } else { "+" };
        let charge = match atom.charge.unsigned_abs() {
            0 => String::new(),
            1 => shifted(sign, -0.4),
            more => shifted(&format!("{more}{sign}"), -0.4),
        };
        let isotope = match atom.isotope {
            0 => String::new(),
            isotope => shifted(&isotope.to_string(), -0.4),
        };
        let free = self.free_side(number);
        let (mut left, mut right) = (isotope, String::new());
        match free {
            Side::Left => left = hydrogens.clone() + &left,
            Side::Right => right = hydrogens.clone(),
            Side::Above | Side::Below => {}
        }
        right += &charge;
        let half = 0.36 * FONT * atom.symbol.len() as f64;
        let baseline = y + 0.36 * FONT;
        let above = match free {
            Side::Above => baseline - 0.95 * FONT,
            _ => baseline + 0.95 * FONT,
        };
        let is_beside = matches!(free, Side::Left | Side::Right);
        let hydrogens = if is_beside { String::new() } else { hydrogens };
        for (text, x, y, anchor) in [
            (left, x - half, baseline, "end"),
            (escape(&atom.symbol), x, baseline, "middle"),
            (right, x + half, baseline, "start"),
            (hydrogens, x - 0.36 * FONT, above, "start"),
        ] {
            if !text.is_empty() {
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{FONT}\" text-anchor=\"{anchor}\" \
                     fill=\"{}\">{text}</text>",
                    colour(&atom.symbol)
                );
            }
        }
    }

    /// The side of an atom for its hydrogens: the first that no bond is near, or the freest.
    fn free_side(&self, number: usize) -> Side {
        let from = self.atoms[number].place;
        let sides = [
            (Side::Right, [1.0, 0.0]),
            (Side::Left, [-1.0, 0.0]),
            (Side::Above, [0.0, -1.0]),
            (Side::Below, [0.0, 1.0]),
        ];
        let nearness = sides.map(|(side, to_side)| {
            let bonds = self.around[number].iter().map(|&(_, other)| {
                let (way, _) = direction(from, self.atoms[other].place);
                way[0] * to_side[0] + way[1] * to_side[1]
            });
            (bonds.fold(-1.0, f64::max), side)
        });
        let is_free = nearness.iter().find(|(cosine, _)| *cosine < 0.4);
        let freest = || {
            nearness
                .iter()
                .min_by(|one, other| one.0.total_cmp(&other.0))
        };
        is_free
            .or_else(freest)
            .map_or(Side::Right, |&(_, side)| side)
    }
}

#[derive(Clone, Copy)]
enum Side {
    Right,
    Left,
    Above,
    Below,
}

/// Small text that is so many font sizes below the line.
fn shifted(text: &str, down: f64) -> String {
    let (size, down) = (0.7 * FONT, down * FONT);
    // What follows is on the line again.
    format!(
        "<tspan font-size=\"{size:.1}\" dy=\"{down:.1}\">{text}</tspan><tspan dy=\"{:.1}\">\u{200b}</tspan>",
        -down
    )
}

/// The colour of an element's label.
fn colour(symbol: &str) -> &'static str {
    match symbol {
        "N" => "#2233dd",
        "O" => "#dd1111",
        "F" | "Cl" => "#118811",
        "S" => "#997700",
        "P" => "#cc6600",
        "Br" => "#993322",
        "I" => "#771199",
        _ => "black",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(smiles: &str) -> String {
        grid(&[(smiles.to_owned(), String::new())], 1)
    }

    fn texts(svg: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in svg.split("<text").skip(1) {
            let element = element.split("</text>").next().unwrap();
            let content = element.split_once('>').unwrap().1;
            let pieces = content.split('<').map(|piece| match piece.split_once('>') {
                Some((_, text)) => text,
                None => piece,
            });
            let text: String = pieces.collect();
            texts.push(text.replace('\u{200b}', ""));
        }
        texts.retain(|text| !text.is_empty());
        texts
    }

    #[test]
    fn atoms_are_labelled_with_hydrogens_charges_and_isotopes() {
        for (smiles, expected) in [
            ("CCO", &["OH"] as &[_]),
            ("C[NH3+]", &["NH3+"]),
            ("[O-]C", &["O−"]),
            ("[Fe+2]", &["Fe2+"]),
            ("[13CH4]", &["13CH4"]),
            ("*C", &["*"]),
            ("C=C=C", &["C"]),
            ("c1ccccc1", &[]),
            ("[H]Cl", &["HCl"]),
        ] {
            let texts = texts(&cell(smiles));
            // A label is up to three texts, in any order.
            let sorted = |text: String| {
                let mut characters: Vec<char> = text.chars().collect();
                characters.sort_unstable();
                characters
            };
            assert_eq!(
                sorted(texts.concat()),
                sorted(expected.concat()),
                "{smiles}"
            );
        }
    }

    #[test]
    fn mirror_images_and_isomers_at_double_bonds_are_drawn_differently() {
        for (left, right) in [
            ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"),
            ("C[C@H]1CC[C@@H](C)CC1", "C[C@H]1CC[C@H](C)CC1"),
            ("F/C=C/F", r"F/C=C\F"),
        ] {
            assert_ne!(cell(left), cell(right));
        }
        // On the same places, so that the wedge is to the viewer in one and away in the other.
        let mut wedges = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"]
            .map(|smiles| cell(smiles).matches("Z\"/>").count());
        wedges.sort_unstable();
        assert_eq!(wedges, [0, 1]);
        assert_eq!(cell("F/C=C/F").matches("Z\"/>").count(), 0);
    }

    #[test]
    fn a_bond_has_as_many_lines_as_its_order() {
        for (smiles, lines) in [("CC", 1), ("C=C", 2), ("C#C", 3), ("c1ccccc1", 9), ("C", 0)] {
            assert_eq!(cell(smiles).matches("<path").count(), lines, "{smiles}");
        }
    }

    #[test]
    fn a_string_that_is_no_molecule_has_its_text_in_its_cell() {
        for (text, expected) in [
            ("<C&(", "&lt;C&amp;("),
            ("CC(C)(C)(C)C", "CC(C)(C)(C)C"),
            ("", ""),
        ] {
            let svg = cell(text);
            assert!(svg.contains(&format!(">{expected}</text>")), "{svg}");
            assert!(!svg.contains("<path"));
        }
        let long = cell(&"[".repeat(10_000));
        assert_eq!(texts(&long).concat().chars().count(), TEXT[0] * TEXT[1]);
    }

    #[test]
    fn every_molecule_has_a_cell_with_its_caption_and_a_long_one_is_cut() {
        let captions = ["first", "a < b", &"long".repeat(100)];
        let molecules = captions.map(|caption| ("CC".to_owned(), caption.to_owned()));
        let svg = grid(&molecules, 2);
        assert_eq!(svg.matches("<g transform").count(), 3);
        assert!(svg.contains("width=\"560\" height=\"460\""));
        let long: String = "long"
            .repeat(100)
            .chars()
            .take(CAPTION_LENGTH - 1)
            .collect();
        assert_eq!(texts(&svg), ["first", "a &lt; b", &format!("{long}…")]);
        assert!(grid(&[], 0).ends_with("</svg>\n"));
    }

    #[test]
    fn built_in_molecules_are_drawn_within_their_cells() {
        for smiles in crate::chem::molecules().step_by(300) {
            let structure = Structure::of(smiles.as_str()).unwrap();
            for Atom { place: [x, y], .. } in structure.atoms {
                assert!(
                    (MARGIN - 0.1..=CELL[0] - MARGIN + 0.1).contains(&x),
                    "{smiles}"
                );
                assert!(
                    (MARGIN - 0.1..=CELL[1] - CAPTION - MARGIN + 0.1).contains(&y),
                    "{smiles}"
                );
            }
        }
    }
}
