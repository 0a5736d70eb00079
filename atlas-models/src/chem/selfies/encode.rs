//! SELFIES from SMILES.

use super::graph::{Bond, Graph};
use super::kekulise::kekulise;
use super::{INDEX_SYMBOLS, smiles};
use crate::chem::Smiles;
use crate::chem::error::{Error, Result};

/// The SELFIES of a molecule, its atoms in the order in which `smiles` has them.
///
/// Aromatic systems are written with single and double bonds, and atom classes
/// are left out: SELFIES has neither.
///
/// ```
/// use atlas_models::chem::{Smiles, selfies};
///
/// let benzene = Smiles::parse("c1ccccc1")?;
/// assert_eq!(selfies::encode(&benzene)?, "[C][=C][C][=C][C][=C][Ring1][=Branch1]");
/// # Ok::<(), atlas_models::chem::Error>(())
/// ```
///
/// # Errors
///
/// At the byte of `smiles`, what SELFIES cannot write: an attachment point (`*`),
/// a quadruple bond, chirality other than `@` and `@@`, a dot inside a branch, a
/// ring that closes after a dot, a branch of more than 4,096 symbols or a ring of
/// more atoms, an atom with more bonds than the default constraints allow, and an
/// aromatic system for which no Kekulé structure is found.
pub fn encode(smiles: &Smiles) -> Result<String> {
    let mut graph = smiles::read(smiles.as_str())?;
    kekulise(&mut graph)?;
    graph.check_capacities()?;
    adapt_chirality(&mut graph);
    let fragments: Result<Vec<String>> = graph
        .roots
        .iter()
        .map(|&root| Ok(write_fragment(&graph, root)?.concat()))
        .collect();
    Ok(fragments?.join("."))
}

/// Mirrors the atoms whose neighbours SELFIES has in another order than SMILES:
/// what was a ring closure before its other end is one at its other end alone.
fn adapt_chirality(graph: &mut Graph<'_>) {
    for atom in 0..graph.atoms.len() {
        let bonds = || graph.leaving[atom].iter().map(|&bond| &graph.bonds[bond]);
        if graph.atoms[atom].chirality.is_none() || !bonds().any(|bond| bond.is_ring) {
            continue;
        }
        // Rings that close here, then those that open here, by their other ends,
        // then branches and the chain.
        let order: Vec<(u8, usize)> = bonds()
            .map(|bond| match (bond.is_ring, bond.high == atom) {
                (true, true) => (0, 0),
                (true, false) => (1, bond.high),
                (false, _) => (2, 0),
            })
            .collect();
        let exchanges = (0..order.len())
            .flat_map(|i| (0..i).map(move |j| (j, i)))
            .filter(|&(j, i)| order[j] > order[i]);
        if exchanges.count() % 2 == 1 {
            let chirality = &mut graph.atoms[atom].chirality;
            *chirality = chirality.map(|chirality| chirality.mirrored());
        }
    }
}

/// A branch that is being written.
struct Branch<'a> {
    /// The bond to its first atom; none for the main chain.
    bond: Option<&'a Bond>,
    symbols: Vec<String>,
    /// Its last atom, and the next of the bonds that leave it.
    atom: usize,
    next: usize,
}

impl<'a> Branch<'a> {
    fn new(graph: &Graph<'_>, atom: usize, bond: Option<&'a Bond>) -> Self {
        Self {
            bond,
            symbols: vec![atom_symbol(graph, atom, bond)],
            atom,
            next: 0,
        }
    }
}

/// The symbols of the fragment that starts at `root`.
fn write_fragment(graph: &Graph<'_>, root: usize) -> Result<Vec<String>> {
    let mut written = Branch::new(graph, root, None);
    let mut outer = Vec::new();
    loop {
        let leaving = &graph.leaving[written.atom];
        let Some(&bond) = leaving.get(written.next) else {
            let Some(around) = outer.pop() else {
                return Ok(written.symbols);
            };
            let branch = std::mem::replace(&mut written, around);
            let order = branch.bond.map_or("", |bond| bond.text(None));
            let index = index_symbols(graph, branch.atom, branch.symbols.len())?;
            let symbol = format!("[{order}Branch{}]", index.len());
            written.symbols.push(symbol);
            written.symbols.extend(index);
            written.symbols.extend(branch.symbols);
            continue;
        };
        written.next += 1;
        let bond = &graph.bonds[bond];
        if bond.is_ring {
            if bond.high == written.atom {
                let index = index_symbols(graph, written.atom, bond.high - bond.low)?;
                let symbol = format!("[{}Ring{}]", ring_bond(bond), index.len());
                written.symbols.push(symbol);
                written.symbols.extend(index);
            }
        } else if written.next == leaving.len() {
            written
                .symbols
                .push(atom_symbol(graph, bond.high, Some(bond)));
            written.atom = bond.high;
            written.next = 0;
        } else {
            let branch = Branch::new(graph, bond.high, Some(bond));
            outer.push(std::mem::replace(&mut written, branch));
        }
    }
}

fn atom_symbol(graph: &Graph<'_>, atom: usize, bond: Option<&Bond>) -> String {
    let bond = bond.map_or("", |bond| bond.text(bond.stereo[0]));
    format!("[{bond}{}]", graph.atoms[atom])
}

fn ring_bond(bond: &Bond) -> String {
    if bond.twice_order != 2 || bond.stereo == [None; 2] {
        return bond.text(None).to_owned();
    }
    let end = |stereo: Option<u8>| stereo.map_or('-', char::from);
    bond.stereo.into_iter().map(end).collect()
}

/// The symbols that stand for a count of at least one.
fn index_symbols(graph: &Graph<'_>, atom: usize, count: usize) -> Result<Vec<String>> {
    let base = INDEX_SYMBOLS.len();
    let mut rest = count - 1;
    let mut digits = vec![rest % base];
    while rest >= base {
        rest /= base;
        digits.push(rest % base);
    }
    if digits.len() > 3 {
        let reason = format!("a ring or a branch of {count} ends here; SELFIES counts to 4096");
        return Err(Error::selfies(graph.atoms[atom].offset, reason));
    }
    let symbol = |&digit: &usize| INDEX_SYMBOLS[digit].to_owned();
    Ok(digits.iter().rev().map(symbol).collect())
}
