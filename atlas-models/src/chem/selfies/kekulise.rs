//! Single and double bonds in place of aromatic ones.
//!
//! SELFIES has no aromatic atoms. Which of the Kekulé structures a string spells
//! is not part of the specification; this is the choice of the Python package, so
//! that both write the same string. It follows R. Apodaca, "A Comprehensive
//! Treatment of Aromaticity in the SMILES Language" (2020): drop the atoms that
//! take no double bond, pair the others greedily, those with the fewest free
//! neighbours first, then lengthen the pairing along augmenting paths.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::graph::Graph;
use crate::chem::error::{Error, Result};

/// Gives every aromatic bond of `graph` order 1 or 2.
///
/// # Errors
///
/// The first atom found that no double bond is left for.
pub(super) fn kekulise(graph: &mut Graph<'_>) -> Result<()> {
    let neighbours = aromatic_neighbours(graph);
    let mut paired_atoms = Vec::new();
    for (atom, bonds) in neighbours.iter().enumerate() {
        if !bonds.is_empty() && takes_double_bond(graph, atom, bonds.len())? {
            paired_atoms.push(atom);
        }
    }
    // The atoms that are left, numbered from zero.
    let mut numbers = vec![None; graph.atoms.len()];
    for (number, &atom) in paired_atoms.iter().enumerate() {
        numbers[atom] = Some(number);
    }
    let reduced: Vec<Vec<usize>> = paired_atoms
        .iter()
        .map(|&atom| {
            neighbours[atom]
                .iter()
                .filter_map(|&n| numbers[n])
                .collect()
        })
        .collect();
    let pairs = perfect_matching(&reduced).map_err(|unpaired| {
        let atom = &graph.atoms[paired_atoms[unpaired]];
        let reason = format!("no Kekulé structure has a double bond at this `{atom}`");
        Error::selfies(atom.offset, reason)
    })?;
    for bond in 0..graph.bonds.len() {
        if graph.bonds[bond].twice_order == 3 {
            let number = |atom: usize| numbers[atom];
            let (low, high) = (graph.bonds[bond].low, graph.bonds[bond].high);
            let is_pair =
                number(high).is_some_and(|high| number(low).is_some_and(|low| pairs[low] == high));
            graph.set_order(bond, if is_pair { 4 } else { 2 });
        }
    }
    for atom in &mut graph.atoms {
        atom.is_aromatic = false;
    }
    Ok(())
}

/// The neighbours of each atom over aromatic bonds, in the order of the bonds.
fn aromatic_neighbours(graph: &Graph<'_>) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); graph.atoms.len()];
    for bond in graph.bonds.iter().filter(|bond| bond.twice_order == 3) {
        neighbours[bond.low].push(bond.high);
        neighbours[bond.high].push(bond.low);
    }
    neighbours
}

/// Whether an atom with `aromatic_bonds` of them has a double bond in a Kekulé structure.
fn takes_double_bond(graph: &Graph<'_>, atom: usize, aromatic_bonds: usize) -> Result<bool> {
    let twice_used = graph.twice_used[atom] as i32;
    let atom = &graph.atoms[atom];
    let (valences, valence_electrons): (&[i32], i32) = match atom.element {
        "B" => (&[3], 3),
        "C" | "Si" => (&[4], 4),
        "N" | "P" | "As" => (&[3, 5], 5),
        "O" | "S" | "Se" | "Te" => (&[2, 4], 6),
        element => {
            let reason = format!("`{element}` is in no aromatic system");
            return Err(Error::selfies(atom.offset, reason));
        }
    };
    // Aromatic bonds count as single ones.
    let single_bonds = (twice_used - aromatic_bonds as i32) / 2;
    let Some(hydrogens) = atom.hydrogens else {
        return Ok(!valences.contains(&single_bonds));
    };
    let hydrogens = hydrogens as i32;
    let used = single_bonds + hydrogens;
    if valences.iter().any(|valence| used == valence - atom.charge) {
        return Ok(false);
    }
    // An unpaired electron is not part of the aromatic system.
    let bound = atom.charge.max(0) + hydrogens + twice_used / 2 + twice_used % 2;
    let unpaired = (valence_electrons - bound).max(0) % 2;
    let valence = valences[valences.len() - 1] - atom.charge;
    let free = valence - used - unpaired;
    Ok(free >= 0 && free % 2 != 0)
}

/// The partner of each node in a perfect matching, or a node that has none left.
fn perfect_matching(graph: &[Vec<usize>]) -> Result<Vec<usize>, usize> {
    let mut partners = greedy_matching(graph);
    let mut unpaired: Vec<usize> = (0..graph.len())
        .filter(|&node| partners[node].is_none())
        .collect();
    while let Some(&root) = unpaired.first() {
        let path = augmenting_path(graph, root, &partners).ok_or(root)?;
        for pair in path.chunks_exact(2) {
            partners[pair[0]] = Some(pair[1]);
            partners[pair[1]] = Some(pair[0]);
        }
        unpaired.retain(|&node| partners[node].is_none());
    }
    partners
        .into_iter()
        .enumerate()
        .map(|(node, partner)| partner.ok_or(node))
        .collect()
}

fn greedy_matching(graph: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut partners: Vec<Option<usize>> = vec![None; graph.len()];
    let mut free_neighbours: Vec<usize> = graph.iter().map(Vec::len).collect();
    let mut queue: BinaryHeap<Reverse<(usize, usize)>> = (0..graph.len())
        .map(|node| Reverse((free_neighbours[node], node)))
        .collect();
    while let Some(Reverse((_, node))) = queue.pop() {
        if partners[node].is_some() {
            continue;
        }
        let mut neighbours = graph[node].iter().copied();
        let Some(partner) = neighbours.find(|&other| partners[other].is_none()) else {
            continue;
        };
        partners[node] = Some(partner);
        partners[partner] = Some(node);
        for &other in graph[node].iter().chain(&graph[partner]) {
            free_neighbours[other] = free_neighbours[other].saturating_sub(1);
            if partners[other].is_none() && free_neighbours[other] > 0 {
                queue.push(Reverse((free_neighbours[other], other)));
            }
        }
    }
    partners
}

/// A shortest path from `root` to another unpaired node that alternates between
/// bonds outside and inside the matching: node by node, from its other end.
fn augmenting_path(
    graph: &[Vec<usize>],
    root: usize,
    partners: &[Option<usize>],
) -> Option<Vec<usize>> {
    // For each node that was reached: the node before it on the path, and the
    // node between them, whose partner it is.
    let mut reached: Vec<Option<(usize, usize)>> = vec![None; graph.len()];
    let mut queue = VecDeque::from([root]);
    while let Some(node) = queue.pop_front() {
        for &other in &graph[node] {
            match partners[other] {
                None if other != root => {
                    let mut path = vec![other, node];
                    let mut node = node;
                    while node != root {
                        let (before, between) = reached[node]?;
                        path.extend([between, before]);
                        node = before;
                    }
                    return Some(path);
                }
                None => {}
                Some(partner) if reached[partner].is_none() => {
                    reached[partner] = Some((node, other));
                    queue.push_back(partner);
                }
                Some(_) => {}
            }
        }
    }
    None
}
