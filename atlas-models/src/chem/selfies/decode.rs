//! SMILES from SELFIES.

use super::graph::{Atom, Bond, Graph, ORGANIC};
use super::{INDEX_SYMBOLS, smiles, symbols};
use crate::chem::bracket;
use crate::chem::error::{Error, Result};

/// The SMILES that a SELFIES string spells, without aromatic atoms.
///
/// Every sequence of SELFIES symbols spells a molecule whose valences are
/// possible: a bond has the order that its two atoms leave room for, a ring or a
/// branch without room is left out, and what follows an atom without room is too.
/// A string without atoms gives an empty one.
///
/// ```
/// use atlas_models::chem::selfies;
///
/// assert_eq!(selfies::decode("[C][=C][F]")?, "C=CF");
/// assert_eq!(selfies::decode("[F][=C][=C][#N]")?, "FC=C=N");
/// # Ok::<(), atlas_models::chem::Error>(())
/// ```
///
/// # Errors
///
/// At its byte, what is no SELFIES symbol, wherever it stands.
pub fn decode(selfies: &str) -> Result<String> {
    let mut graph = Graph::default();
    let mut rings = Vec::new();
    let mut fragment = Vec::new();
    let mut offset = 0;
    for text in symbols(selfies) {
        let text = text?;
        match text {
            "." => {
                derive(&mut graph, &mut rings, &fragment);
                fragment.clear();
            }
            "[nop]" => {}
            _ => fragment.push((text, Symbol::read(text, offset)?)),
        }
        offset += text.len();
    }
    derive(&mut graph, &mut rings, &fragment);
    close_rings(&mut graph, &rings);
    Ok(smiles::write(&graph))
}

/// What a symbol says where it does not stand for a number.
#[derive(Clone, Copy)]
enum Symbol<'a> {
    /// An atom, and the bond to it.
    Atom {
        atom: Atom<'a>,
        order: u32,
        stereo: Option<u8>,
    },
    Branch {
        order: u32,
        /// The symbols after it that stand for a number.
        digits: usize,
    },
    Ring {
        order: u32,
        stereo: [Option<u8>; 2],
        digits: usize,
    },
    Epsilon,
}

impl<'a> Symbol<'a> {
    fn read(text: &'a str, offset: usize) -> Result<Self> {
        let inside = &text[1..text.len() - 1];
        if inside == "epsilon" {
            return Ok(Self::Epsilon);
        }
        let counted = inside
            .strip_suffix(['1', '2', '3'])
            .map(|name| (name, usize::from(inside.as_bytes()[name.len()] - b'0')));
        if let Some((name, digits)) = counted {
            if let Some(bond) = name.strip_suffix("Branch")
                && let Some(order) = order(bond)
            {
                return Ok(Self::Branch { order, digits });
            }
            if let Some(bond) = name.strip_suffix("Ring")
                && let Some((order, stereo)) = ring_bond(bond)
            {
                return Ok(Self::Ring {
                    order,
                    stereo,
                    digits,
                });
            }
        }
        let bond = usize::from(inside.starts_with(['=', '#', '/', '\\']));
        let (bond, inside) = inside.split_at(bond);
        let atom = read_atom(&text[bond.len()..], inside, offset);
        let atom = atom
            .filter(|atom| atom.capacity() >= 0)
            .ok_or_else(|| Error::selfies(offset, format!("`{text}` is not a SELFIES symbol")))?;
        Ok(Self::Atom {
            atom,
            order: order(bond).unwrap_or(1),
            stereo: bond.bytes().next().filter(|bond| b"/\\".contains(bond)),
        })
    }
}

fn order(bond: &str) -> Option<u32> {
    match bond {
        "" => Some(1),
        "=" => Some(2),
        "#" => Some(3),
        _ => None,
    }
}

fn ring_bond(bond: &str) -> Option<(u32, [Option<u8>; 2])> {
    if let Some(order) = order(bond) {
        return Some((order, [None; 2]));
    }
    match bond.as_bytes() {
        b"--" => None,
        &[low @ (b'-' | b'/' | b'\\'), high @ (b'-' | b'/' | b'\\')] => {
            let stereo = |end: u8| Some(end).filter(|&end| end != b'-');
            Some((1, [stereo(low), stereo(high)]))
        }
        _ => None,
    }
}

/// The atom of a symbol whose text is `inside`; `None` if it is not as SELFIES
/// writes it. `rest` is `inside` with one byte before it, and its `]`.
fn read_atom<'a>(rest: &'a str, inside: &'a str, offset: usize) -> Option<Atom<'a>> {
    if ORGANIC.contains(&inside) {
        return Some(Atom::plain(inside, offset));
    }
    let parts = bracket::read(rest, 0).ok()?;
    let atom = smiles::bracketed(&parts, offset)?;
    let is_element = parts
        .symbol
        .starts_with(|first: char| first.is_ascii_uppercase());
    // SELFIES spells counts and charges out; no hydrogens may also be `H0`.
    let written = atom.to_string();
    let is_written = written == inside || inside.replacen("H0", "", 1) == written;
    Some(atom).filter(|_| is_element && is_written)
}

/// The main chain or a branch that is being read.
struct Branch {
    /// The symbol that it ends before.
    end: usize,
    /// The bonds that its last atom has left; `None` once there are none.
    room: Option<u32>,
    /// Its last atom, or the one that it branches from.
    atom: Option<usize>,
}

/// Adds the atoms of a fragment to `graph`, and what its ring symbols ask for to `rings`.
fn derive<'a>(graph: &mut Graph<'a>, rings: &mut Vec<Bond>, symbols: &[(&str, Symbol<'a>)]) {
    let mut at = 0;
    let mut branches = vec![Branch {
        end: symbols.len(),
        room: Some(0),
        atom: None,
    }];
    while let Some(branch) = branches.last_mut() {
        let (Some(room), Some(&(_, symbol))) = (branch.room, symbols[..branch.end].get(at)) else {
            // What is left of a branch without room says nothing.
            at = at.max(branch.end);
            branches.pop();
            continue;
        };
        at += 1;
        let room_after = |used: u32| Some(room - used).filter(|&room| room > 0);
        match (symbol, branch.atom) {
            (Symbol::Epsilon, _) => branch.room = Some(0).filter(|_| room == 0),
            (
                Symbol::Atom {
                    atom,
                    order,
                    stereo,
                },
                previous,
            ) => {
                let capacity = atom.capacity().unsigned_abs();
                let order = order.min(room).min(capacity);
                if room == 0 {
                    branch.atom = Some(graph.add_atom(atom, None));
                } else if let Some(low) = previous
                    && order > 0
                {
                    let bond = (low, 2 * order as u8, stereo);
                    branch.atom = Some(graph.add_atom(atom, Some(bond)));
                }
                branch.room = Some(capacity - order).filter(|&room| room > 0);
            }
            (Symbol::Branch { order, digits }, Some(atom)) if room > 1 => {
                let order = order.min(room - 1);
                branch.room = room_after(order);
                let length = read_index(symbols, &mut at, digits) + 1;
                branches.push(Branch {
                    end: (at + length).min(symbols.len()),
                    room: Some(order),
                    atom: Some(atom),
                });
            }
            (
                Symbol::Ring {
                    order,
                    stereo,
                    digits,
                },
                Some(high),
            ) if room > 0 => {
                let order = order.min(room);
                branch.room = room_after(order);
                let length = read_index(symbols, &mut at, digits) + 1;
                rings.push(Bond {
                    low: high.saturating_sub(length),
                    high,
                    twice_order: 2 * order as u8,
                    stereo,
                    is_ring: true,
                });
            }
            // Without room for it, a branch or a ring is left out.
            (Symbol::Branch { .. } | Symbol::Ring { .. }, _) => {}
        }
    }
}

/// The number that the next `digits` symbols stand for; a symbol that stands for
/// none, or is missing, counts as zero.
fn read_index(symbols: &[(&str, Symbol<'_>)], at: &mut usize, digits: usize) -> usize {
    let digit = |place: usize| {
        let text = symbols.get(place).map(|(text, _)| *text);
        let digit = INDEX_SYMBOLS
            .iter()
            .position(|&symbol| Some(symbol) == text);
        digit.unwrap_or(0)
    };
    let index =
        (*at..*at + digits).fold(0, |index, place| index * INDEX_SYMBOLS.len() + digit(place));
    *at += digits;
    index
}

/// Closes the rings that both ends have room for, in order; where the two atoms
/// are bonded already, the bond gets a higher order instead.
fn close_rings(graph: &mut Graph<'_>, rings: &[Bond]) {
    let mut closed = vec![0; graph.atoms.len()];
    for ring in rings {
        let (low, high) = (ring.low, ring.high);
        let room = |atom: usize| {
            let room = graph.atoms[atom].capacity() - (graph.twice_used[atom] / 2) as i32;
            2 * u8::try_from(room).unwrap_or(0)
        };
        let twice_order = ring.twice_order.min(room(low)).min(room(high));
        if low == high || twice_order == 0 {
            continue;
        }
        if let Some(bond) = graph.bond_between(low, high) {
            let twice_order = graph.bonds[bond].twice_order + twice_order;
            graph.set_order(bond, twice_order.min(6));
            continue;
        }
        let bond = graph.add_bond(Bond {
            twice_order,
            ..*ring
        });
        // Ring closures stand before branches.
        for atom in [low, high] {
            graph.leaving[atom].insert(closed[atom], bond);
            closed[atom] += 1;
        }
    }
}
