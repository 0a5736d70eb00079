//! Drawing a molecule from fragments.
//!
//! A fragment is SMILES in which `*` is no atom but a point of attachment. As the
//! first token it is the *entry*, bonded to the fragment before; elsewhere it is
//! the *exit*, where the next fragment goes. `*N1CCN(*)CC1` between `CO*` and
//! `*C(C)=O` is drawn `CON1CCN(C(C)=O)CC1`.
//!
//! The fragment takes the place of the point in the text, so the neighbours of
//! every stereo centre keep their order. Ring closures get the lowest number
//! that is not open, as RDKit writes them, so fragments cannot clash.

use std::collections::{BTreeMap, BTreeSet};

use crate::chem::Lexer;

/// Draws the fragments of `chain`, each attached to the one before.
///
/// The first has an exit only, the last an entry only, the others both.
pub(super) fn draw(chain: &[&str]) -> String {
    let mut drawing = Drawing::default();
    drawing.fragment(chain);
    drawing.text
}

#[derive(Default)]
struct Drawing {
    text: String,
    /// The ring numbers in use here.
    open: BTreeSet<u32>,
}

impl Drawing {
    fn fragment(&mut self, chain: &[&str]) {
        let Some((first, rest)) = chain.split_first() else {
            return;
        };
        // The fragment's own ring numbers, and what they are drawn as.
        let mut rings = BTreeMap::new();
        // Every fragment of the library is tested to be SMILES.
        for token in Lexer::new(first).map_while(Result::ok) {
            match (token.text, token.ring_number()) {
                ("*", _) if token.offset == 0 => {}
                ("*", _) => self.fragment(rest),
                (_, Some(number)) => self.ring(number, &mut rings),
                (text, None) => self.text += text,
            }
        }
    }

    fn ring(&mut self, number: u32, rings: &mut BTreeMap<u32, u32>) {
        let drawn = match rings.remove(&number) {
            Some(drawn) => {
                self.open.remove(&drawn);
                drawn
            }
            None => {
                let mut drawn = 1;
                while !self.open.insert(drawn) {
                    drawn += 1;
                }
                rings.insert(number, drawn);
                drawn
            }
        };
        self.text += &match drawn {
            0..=9 => drawn.to_string(),
            10..=99 => format!("%{drawn}"),
            _ => format!("%({drawn})"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_takes_the_place_of_the_point_it_is_attached_to() {
        assert_eq!(
            draw(&["CO*", "*N1CCN(*)CC1", "*C(C)=O"]),
            "CON1CCN(C(C)=O)CC1"
        );
        assert_eq!(draw(&["F*", "*-*", "*Cl"]), "F-Cl");
    }

    #[test]
    fn ring_numbers_do_not_clash_and_are_used_again() {
        assert_eq!(
            draw(&["c1ccc(*)cc1", "*C1CCC(*)C1", "*c1ccc2[nH]ccc2c1"]),
            "c1ccc(C2CCC(c3ccc4[nH]ccc4c3)C2)cc1"
        );
        assert_eq!(draw(&["C1CC1*", "*c1ccccc1"]), "C1CC1c1ccccc1");
    }

    #[test]
    fn more_than_nine_open_rings_take_a_percent_sign() {
        let ring = "*C1CC(*)C1";
        let chain: Vec<_> = ["F*"]
            .into_iter()
            .chain([ring; 10])
            .chain(["*Cl"])
            .collect();
        let drawn = draw(&chain);
        assert!(drawn.contains("C9CC(C%10CC(Cl)C%10)C9"), "{drawn}");
    }
}
