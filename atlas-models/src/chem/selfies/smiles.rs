//! Graphs from SMILES, and SMILES from graphs.

use std::collections::HashMap;

use super::graph::{Atom, Bond, Chirality, Graph};
use crate::chem::bracket::{self, BracketAtom};
use crate::chem::error::{Error, Result};
use crate::chem::lexer::{Lexer, Token, TokenKind};

/// One end of a ring bond whose other end has not come.
struct OpenRing {
    atom: usize,
    /// The place among the bonds that leave the atom.
    slot: usize,
    bond: Option<u8>,
    offset: usize,
}

/// The graph that `smiles`, which holds to the grammar, draws. Atom classes are
/// left out.
///
/// # Errors
///
/// What SELFIES does not have: attachment points, `$`, chirality other than
/// tetrahedral, dots inside branches, and rings that close after a dot.
pub(super) fn read(smiles: &str) -> Result<Graph<'_>> {
    let mut graph = Graph::default();
    let mut previous = None;
    let mut bond = None;
    let mut branches = Vec::new();
    let mut open_rings: HashMap<u32, OpenRing> = HashMap::new();
    for token in Lexer::new(smiles) {
        let token = token?;
        let refuse = |reason: &str| {
            let reason = format!("`{}` {reason}", token.text);
            Err(Error::selfies(token.offset, reason))
        };
        match token.kind {
            TokenKind::Atom | TokenKind::BracketAtom => {
                let atom = read_atom(&token)?;
                let to_previous = previous.map(|low: usize| {
                    let is_aromatic = atom.is_aromatic && graph.atoms[low].is_aromatic;
                    (low, twice_order(bond, is_aromatic), stereo(bond))
                });
                bond = None;
                previous = Some(graph.add_atom(atom, to_previous));
            }
            TokenKind::Bond if token.text == "$" => {
                return refuse("is a quadruple bond, and SELFIES has none");
            }
            TokenKind::Bond => bond = token.text.bytes().next(),
            TokenKind::BranchOpen => branches.push(previous),
            TokenKind::BranchClose => previous = branches.pop().flatten(),
            TokenKind::Dot if !branches.is_empty() => {
                return refuse("stands in a branch; SELFIES has it between whole fragments");
            }
            TokenKind::Dot => {
                if let Some(open) = open_rings.values().min_by_key(|open| open.offset) {
                    let reason = "this ring closes after a dot, and SELFIES closes it before";
                    return Err(Error::selfies(open.offset, reason));
                }
                previous = None;
            }
            TokenKind::RingClosure => {
                let (Some(number), Some(atom)) = (token.ring_number(), previous) else {
                    return refuse("is a ring closure without an atom");
                };
                let here = OpenRing {
                    atom,
                    slot: graph.leaving[atom].len(),
                    bond: bond.take(),
                    offset: token.offset,
                };
                graph.leaving[atom].push(UNKNOWN);
                match open_rings.remove(&number) {
                    Some(open) => close_ring(&mut graph, open, here),
                    None => drop(open_rings.insert(number, here)),
                }
            }
        }
    }
    Ok(graph)
}

/// Stands for a ring bond until the ring is closed.
const UNKNOWN: usize = usize::MAX;

fn close_ring(graph: &mut Graph<'_>, opened: OpenRing, closed: OpenRing) {
    // A ring that opens in a branch can close at the atom before the branch.
    let (low, high) = if opened.atom < closed.atom {
        (&opened, &closed)
    } else {
        (&closed, &opened)
    };
    let is_aromatic = [low, high]
        .iter()
        .all(|end| end.bond.is_none() && graph.atoms[end.atom].is_aromatic);
    let order = |end: &OpenRing| twice_order(end.bond, is_aromatic);
    let bond = graph.add_bond(Bond {
        low: low.atom,
        high: high.atom,
        twice_order: order(low).max(order(high)),
        stereo: [stereo(low.bond), stereo(high.bond)],
        is_ring: true,
    });
    for end in [low, high] {
        graph.leaving[end.atom][end.slot] = bond;
    }
}

fn twice_order(bond: Option<u8>, is_aromatic: bool) -> u8 {
    match bond {
        Some(b'=') => 4,
        Some(b'#') => 6,
        Some(b':') => 3,
        None if is_aromatic => 3,
        _ => 2,
    }
}

fn stereo(bond: Option<u8>) -> Option<u8> {
    bond.filter(|bond| matches!(bond, b'/' | b'\\'))
}

fn read_atom<'a>(token: &Token<'a>) -> Result<Atom<'a>> {
    let mut atom = Atom::plain(token.text, token.offset);
    if token.kind == TokenKind::BracketAtom {
        let parts = bracket::read(token.text, token.offset)?;
        atom = bracketed(&parts, token.offset).ok_or_else(|| {
            let reason = format!("`{}` has a chirality that SELFIES lacks", token.text);
            Error::selfies(token.offset, reason)
        })?;
    }
    if atom.element == "*" {
        let reason = format!(
            "`{}` is an attachment point, and SELFIES has none",
            token.text
        );
        return Err(Error::selfies(token.offset, reason));
    }
    if let Some(element) = element_of_aromatic(atom.element) {
        atom.element = element;
        atom.is_aromatic = true;
    }
    Ok(atom)
}

/// The atom of these parts; `None` if its chirality is not tetrahedral.
pub(super) fn bracketed<'a>(parts: &BracketAtom<'a>, offset: usize) -> Option<Atom<'a>> {
    let chirality = match parts.chirality {
        "" => None,
        "@" => Some(Chirality::Anticlockwise),
        "@@" => Some(Chirality::Clockwise),
        _ => return None,
    };
    Some(Atom {
        isotope: parts.isotope,
        chirality,
        hydrogens: Some(parts.hydrogens),
        charge: parts.charge,
        ..Atom::plain(parts.symbol, offset)
    })
}

fn element_of_aromatic(symbol: &str) -> Option<&'static str> {
    Some(match symbol {
        "b" => "B",
        "c" => "C",
        "n" => "N",
        "o" => "O",
        "p" => "P",
        "s" => "S",
        "as" => "As",
        "se" => "Se",
        "si" => "Si",
        "te" => "Te",
        _ => return None,
    })
}

/// The SMILES of a graph without aromatic atoms, in its own order. Each ring has
/// a number of its own.
pub(super) fn write(graph: &Graph<'_>) -> String {
    let mut text = String::new();
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    for (fragment, &root) in graph.roots.iter().enumerate() {
        if fragment > 0 {
            text.push('.');
        }
        push_atom(&mut text, &graph.atoms[root]);
        // An atom, the next of the bonds that leave it, and whether it ends a branch.
        let mut path = vec![(root, 0, false)];
        while let Some((atom, next, is_branch)) = path.last_mut() {
            let leaving = &graph.leaving[*atom];
            let Some(&id) = leaving.get(*next) else {
                if *is_branch {
                    text.push(')');
                }
                path.pop();
                continue;
            };
            *next += 1;
            let bond = &graph.bonds[id];
            if bond.is_ring {
                text += bond.text(bond.stereo[usize::from(*atom == bond.high)]);
                let count = numbers.len();
                push_ring_number(&mut text, *numbers.entry(id).or_insert(count + 1));
                continue;
            }
            let opens_branch = *next < leaving.len();
            if opens_branch {
                text.push('(');
            }
            text += bond.text(bond.stereo[0]);
            push_atom(&mut text, &graph.atoms[bond.high]);
            path.push((bond.high, 0, opens_branch));
        }
    }
    text
}

fn push_atom(text: &mut String, atom: &Atom<'_>) {
    if atom.is_bracketed() {
        text.push_str(&format!("[{atom}]"));
    } else {
        text.push_str(atom.element);
    }
}

fn push_ring_number(text: &mut String, number: usize) {
    match number {
        0..=9 => text.push_str(&number.to_string()),
        10..=99 => text.push_str(&format!("%{number}")),
        _ => text.push_str(&format!("%({number})")),
    }
}
