//! Whether the aromatic atoms of an unfinished molecule can still have a Kekulé
//! structure.

use super::tokens::Role;

/// An atom of the unfinished molecule.
#[derive(Debug, Clone, Copy)]
pub(super) struct GraphAtom {
    /// `None` unless it is aromatic: its role if it gets at least none, one and two
    /// bonds more than those that wait.
    pub roles: Option<[Role; 3]>,
    /// Its bonds whose other ends are yet to be written.
    pub waiting: usize,
    /// The most bonds that it can still get, with those that wait; two stand for
    /// more.
    pub bonds_to_come: usize,
}

/// A bond: its two atoms, and whether it is aromatic.
pub(super) type GraphBond = (usize, usize, bool);

/// Assignments tried before a system is taken to have a structure.
const MOST_TRIALS: usize = 2_000;

/// Whether a Kekulé structure is still possible: every aromatic atom is in a ring,
/// or can come to be in one, and those that get no more bonds and take a double
/// bond can be paired. One that can get more bonds may find its partner later.
pub(super) fn is_possible(atoms: &[GraphAtom], bonds: &[GraphBond]) -> bool {
    if atoms.iter().all(|atom| atom.roles.is_none()) {
        return true;
    }
    let in_ring = ring_bonds(atoms, bonds);
    // In a ring it has two bonds of the ring.
    let mut lacking: Vec<usize> = atoms
        .iter()
        .map(|atom| 2usize.saturating_sub(atom.waiting))
        .collect();
    for (&(low, high, _), _) in bonds.iter().zip(&in_ring).filter(|(_, in_ring)| **in_ring) {
        for atom in [low, high] {
            lacking[atom] = lacking[atom].saturating_sub(1);
        }
    }
    let role_of = |atom: usize| {
        atoms[atom]
            .roles
            .map_or(Role::NONE, |roles| roles[lacking[atom]])
    };
    let is_aromatic = |atom: &usize| atoms[*atom].roles.is_some();
    let aromatic: Vec<usize> = (0..atoms.len()).filter(is_aromatic).collect();
    if aromatic.iter().any(|&atom| !role_of(atom).is_possible()) {
        return false;
    }
    let mut has_aromatic_bond = vec![false; atoms.len()];
    for &(low, high, is_aromatic) in bonds {
        has_aromatic_bond[low] |= is_aromatic;
        has_aromatic_bond[high] |= is_aromatic;
    }
    let may_be_double = bonds
        .iter()
        .zip(&in_ring)
        .filter(|((_, _, is_aromatic), in_ring)| *is_aromatic && **in_ring)
        .map(|(&(low, high, _), _)| (low, high))
        .filter(|&(low, high)| role_of(low).can_take && role_of(high).can_take);
    let partners = Neighbours::new(atoms.len(), may_be_double);
    // An atom without aromatic bonds is in no aromatic system: RDKit lets it be.
    let must_pair = |atom: &usize| has_aromatic_bond[*atom] && !role_of(*atom).can_spare;
    let is_settled = |atom: &usize| atoms[*atom].bonds_to_come == 0;
    let unpaired: Vec<usize> = aromatic
        .into_iter()
        .filter(|atom| is_settled(atom) && must_pair(atom))
        .collect();
    let mut is_free = vec![true; atoms.len()];
    pair(&unpaired, &partners, &mut is_free, &mut MOST_TRIALS.clone())
}

/// The neighbours of each atom, with the numbers of the bonds to them.
struct Neighbours {
    /// Where each atom's begin in `all`.
    begins: Vec<usize>,
    all: Vec<(usize, usize)>,
}

impl Neighbours {
    fn new(atoms: usize, bonds: impl Iterator<Item = (usize, usize)> + Clone) -> Self {
        let mut begins = vec![0; atoms + 1];
        for (low, high) in bonds.clone() {
            begins[low + 1] += 1;
            begins[high + 1] += 1;
        }
        for atom in 0..atoms {
            begins[atom + 1] += begins[atom];
        }
        let (mut next, mut all) = (begins.clone(), vec![(0, 0); begins[atoms]]);
        for (bond, (low, high)) in bonds.enumerate() {
            for (atom, other) in [(low, high), (high, low)] {
                all[next[atom]] = (other, bond);
                next[atom] += 1;
            }
        }
        Self { begins, all }
    }

    fn of(&self, atom: usize) -> &[(usize, usize)] {
        &self.all[self.begins[atom]..self.begins[atom + 1]]
    }
}

/// Whether each of `unpaired` that is free can be paired with a free partner.
fn pair(
    unpaired: &[usize],
    partners: &Neighbours,
    is_free: &mut [bool],
    trials: &mut usize,
) -> bool {
    let free_partners = |atom: usize, is_free: &[bool]| {
        let all = partners.of(atom).iter();
        all.filter(|(other, _)| is_free[*other]).count()
    };
    // The one with the fewest choices first: most have none to make.
    let next = unpaired
        .iter()
        .copied()
        .filter(|&atom| is_free[atom])
        .min_by_key(|&atom| free_partners(atom, is_free));
    let Some(atom) = next else {
        return true;
    };
    if *trials == 0 {
        return true;
    }
    *trials -= 1;
    is_free[atom] = false;
    for &(other, _) in partners.of(atom) {
        if is_free[other] {
            is_free[other] = false;
            if pair(unpaired, partners, is_free, trials) {
                return true;
            }
            is_free[other] = true;
        }
    }
    is_free[atom] = true;
    false
}

/// For each bond, whether it is in a ring, or can come to be: the open atoms can
/// all be bonded to each other by what follows. The others are the bridges of the
/// graph (Tarjan, "A note on finding the bridges of a graph", 1974).
fn ring_bonds(atoms: &[GraphAtom], bonds: &[GraphBond]) -> Vec<bool> {
    // What follows is one more atom, bonded to the open ones.
    let rest = atoms.len();
    let to_rest = atoms
        .iter()
        .enumerate()
        .flat_map(|(atom, facts)| std::iter::repeat_n((atom, rest), facts.bonds_to_come.min(2)));
    let ends = bonds.iter().map(|&(low, high, _)| (low, high));
    let neighbours = Neighbours::new(rest + 1, ends.chain(to_rest));
    let mut is_in_ring = vec![true; bonds.len()];
    // The order in which atoms are reached, and the first atom that each one and
    // those beyond it are bonded back to.
    let (mut reached, mut lowest) = (vec![usize::MAX; rest + 1], vec![usize::MAX; rest + 1]);
    let mut count = 0;
    for root in 0..=rest {
        if reached[root] != usize::MAX {
            continue;
        }
        // An atom, the bond that it was reached by, and the next of its neighbours.
        let mut path = vec![(root, usize::MAX, 0)];
        while let Some((atom, by, next)) = path.last_mut() {
            let (atom, by) = (*atom, *by);
            if *next == 0 {
                reached[atom] = count;
                lowest[atom] = count;
                count += 1;
            }
            if let Some(&(other, bond)) = neighbours.of(atom).get(*next) {
                *next += 1;
                if reached[other] == usize::MAX {
                    path.push((other, bond, 0));
                } else if bond != by {
                    lowest[atom] = lowest[atom].min(reached[other]);
                }
                continue;
            }
            path.pop();
            if let Some(&(before, ..)) = path.last() {
                if lowest[atom] > reached[before]
                    && let Some(is_in_ring) = is_in_ring.get_mut(by)
                {
                    *is_in_ring = false;
                }
                lowest[before] = lowest[before].min(lowest[atom]);
            }
        }
    }
    is_in_ring
}
