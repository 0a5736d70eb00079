//! The tokens a model knows, and molecules as their numbers.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;

use super::error::{Error, Result};
use super::notation::Notation;
use super::smiles::Smiles;

/// The id of the token that fills a row up to the length of its batch.
pub const PADDING: u16 = 0;
/// The id of the token that a decoder is fed first.
pub const START: u16 = 1;
/// The id of the token that ends a molecule.
pub const END: u16 = 2;

/// The texts of [`PADDING`], [`START`] and [`END`], in this order. None can be
/// mistaken for a SMILES token: `<` starts none.
const SPECIALS: [&str; 3] = ["<pad>", "<start>", "<end>"];

/// An id is a `u16`.
const MAX_TOKENS: usize = 1 << 16;

/// The tokens a model knows, in the order of their ids.
///
/// The first three are special: [`PADDING`], [`START`] and [`END`]. The others
/// are tokens of a [`Notation`]. There is no token for what is unknown, as a model that
/// reads one token as another reads another molecule: a molecule with a token
/// that the vocabulary lacks is an error.
///
/// [`tokens`](Self::tokens) is a plain list of strings, to be kept as a
/// parameter of a model; [`from_tokens`](Self::from_tokens) reads it back and
/// gives every token the id it had.
///
/// ```
/// use atlas_models::chem::{Notation, Smiles, Vocabulary};
///
/// let corpus = [Smiles::parse("OCC")?, Smiles::parse("CCl")?];
/// let vocabulary = Vocabulary::build(Notation::Atoms, &corpus)?;
/// assert_eq!(vocabulary.tokens(), ["<pad>", "<start>", "<end>", "C", "Cl", "O"]);
///
/// let tokens = vocabulary.encode(&corpus[0])?;
/// assert_eq!(tokens[..], [5, 3, 3]);
/// assert_eq!(vocabulary.decode(&tokens)?, "OCC");
/// # Ok::<(), atlas_models::chem::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Vocabulary {
    notation: Notation,
    tokens: Vec<String>,
    ids: HashMap<Box<str>, u16>,
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        (self.notation, &self.tokens) == (other.notation, &other.tokens)
    }
}

impl Eq for Vocabulary {}

impl Vocabulary {
    /// The vocabulary of the tokens that occur in `corpus`: the special tokens,
    /// then the others sorted by their bytes.
    ///
    /// The same molecules give the same vocabulary in whatever order they come.
    ///
    /// # Errors
    ///
    /// If `corpus` has more distinct tokens than a `u16` can number, or the
    /// notation cannot write a molecule of it.
    pub fn build<'a>(
        notation: Notation,
        corpus: impl IntoIterator<Item = &'a Smiles>,
    ) -> Result<Self> {
        let mut distinct = BTreeSet::new();
        for smiles in corpus {
            notation.for_each(smiles, |_, token| {
                if !distinct.contains(token) {
                    distinct.insert(token.to_owned());
                }
                Ok(())
            })?;
        }
        Self::of_tokens(notation, distinct)
    }

    /// The vocabulary of the special tokens and these, which are distinct and sorted.
    pub(crate) fn of_tokens(
        notation: Notation,
        distinct: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        let specials = SPECIALS.into_iter().map(str::to_owned);
        Self::from_tokens(notation, specials.chain(distinct).collect())
    }

    /// The vocabulary whose token with id `i` is `tokens[i]`.
    ///
    /// # Errors
    ///
    /// Unless `tokens` starts with the special tokens and goes on with tokens of the
    /// notation, each one once, 65,536 in all at most. The error lists every
    /// problem with its index.
    pub fn from_tokens(notation: Notation, tokens: Vec<String>) -> Result<Self> {
        let mut problems = Vec::new();
        if tokens.len() > MAX_TOKENS {
            problems.push(format!(
                "{} tokens; at most {MAX_TOKENS} can be numbered",
                tokens.len()
            ));
        }
        for (id, special) in SPECIALS.into_iter().enumerate() {
            match tokens.get(id) {
                Some(token) if token == special => {}
                Some(token) => problems.push(format!("token {id} is {token:?}, not `{special}`")),
                None => problems.push(format!("token {id} is missing; it must be `{special}`")),
            }
        }
        let mut ids = HashMap::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate() {
            if let Some(problem) = entry_problem(notation, id, token) {
                problems.push(problem);
            }
            // Ids past the range are reported above, so what they wrap to is
            // never used.
            if let Some(first) = ids.insert(token.as_str().into(), id as u16) {
                problems.push(format!("token {id} {token:?} repeats token {first}"));
            }
        }
        if problems.is_empty() {
            Ok(Self {
                notation,
                tokens,
                ids,
            })
        } else {
            Err(Error::vocabulary(problems))
        }
    }

    /// What the tokens are.
    pub fn notation(&self) -> Notation {
        self.notation
    }

    /// Every token in the order of the ids, the special ones first.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The number of tokens, with the special ones: the width of a model's
    /// embedding and of its logits.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a vocabulary has its special tokens and is never empty"
    )]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The id of a token by its text.
    pub fn id(&self, token: &str) -> Option<u16> {
        self.ids.get(token).copied()
    }

    /// The text of a token by its id.
    pub fn token(&self, id: u16) -> Option<&str> {
        self.tokens.get(usize::from(id)).map(String::as_str)
    }

    /// The ids of the tokens of `smiles`, without special ones.
    ///
    /// # Errors
    ///
    /// If the vocabulary lacks a token: which one, and at which byte. If the
    /// notation cannot write the molecule.
    pub fn encode(&self, smiles: &Smiles) -> Result<Tokens> {
        let mut ids = Vec::with_capacity(smiles.as_str().len());
        self.notation.for_each(smiles, |offset, token| {
            let id = self.id(token);
            ids.push(id.ok_or_else(|| Error::unknown_token(offset, token, self.len()))?);
            Ok(())
        })?;
        Ok(Tokens(ids.into()))
    }

    /// The SMILES that `ids` spell, up to the first [`END`] or, without one, the
    /// last id. A [`START`] in front is skipped.
    ///
    /// `decode(encode(smiles))` is `smiles`, byte for byte, or in a notation other
    /// than SMILES the same molecule. What a model puts out
    /// need not be SMILES, so this is a plain string. A special token where none
    /// belongs, such as padding before the end, is written out by its name
    /// (`<pad>`): the string is then no SMILES and counts as such, where leaving
    /// it out could turn a model's mistake into a molecule.
    ///
    /// # Errors
    ///
    /// If an id before the end is not below [`len`](Self::len).
    pub fn decode<I>(&self, ids: I) -> Result<String>
    where
        I: IntoIterator<Item: Into<u32>>,
    {
        let mut text = String::new();
        for (position, id) in ids.into_iter().enumerate() {
            let id: u32 = id.into();
            if id == u32::from(END) {
                break;
            }
            if position == 0 && id == u32::from(START) {
                continue;
            }
            let token = usize::try_from(id).ok().and_then(|id| self.tokens.get(id));
            text += token.ok_or_else(|| Error::unknown_id(id, self.len()))?;
        }
        self.notation.smiles(text)
    }
}

/// What is wrong with the token at index `id`, seen alone.
fn entry_problem(notation: Notation, id: usize, token: &str) -> Option<String> {
    if let Some(place) = SPECIALS.iter().position(|&special| special == token) {
        return (place != id).then(|| format!("token {id} is `{token}`, whose place is {place}"));
    }
    if id < SPECIALS.len() {
        // Not the special token that belongs here, and reported as that.
        return None;
    }
    let problem = notation.check_token(token).err()?;
    Some(format!("token {id} {token:?} {problem}"))
}

/// A molecule as token ids, without special ones: two bytes a token.
///
/// It is the slice of its ids: `tokens.len()`, `tokens[..]`, `tokens.iter()`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tokens(Box<[u16]>);

impl Deref for Tokens {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        &self.0
    }
}

impl FromIterator<u16> for Tokens {
    fn from_iter<I: IntoIterator<Item = u16>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

impl AsRef<[u16]> for Tokens {
    fn as_ref(&self) -> &[u16] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Tokens {
    type Item = u16;
    type IntoIter = std::iter::Copied<std::slice::Iter<'a, u16>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chem::molecules;

    fn smiles(text: &str) -> Smiles {
        Smiles::parse(text).unwrap()
    }

    fn list(tokens: &[&str]) -> Vec<String> {
        tokens.iter().map(|&token| token.to_owned()).collect()
    }

    fn problems(tokens: &[&str]) -> String {
        let error = Vocabulary::from_tokens(Notation::Atoms, list(tokens)).unwrap_err();
        assert_eq!(error.offset(), None);
        error.to_string()
    }

    #[test]
    fn special_tokens_come_first_and_the_others_are_sorted() {
        let vocabulary =
            Vocabulary::build(Notation::Atoms, &[smiles("c1cc[nH]c1"), smiles("BrCCl")]).unwrap();
        assert_eq!(
            vocabulary.tokens(),
            [
                "<pad>", "<start>", "<end>", "1", "Br", "C", "Cl", "[nH]", "c"
            ]
        );
        assert_eq!(vocabulary.token(PADDING), Some("<pad>"));
        assert_eq!(vocabulary.token(START), Some("<start>"));
        assert_eq!(vocabulary.token(END), Some("<end>"));
        assert_eq!(vocabulary.id("[nH]"), Some(7));
        assert_eq!(vocabulary.token(9), None);
    }

    #[test]
    fn the_order_of_the_molecules_does_not_matter() {
        let mut corpus: Vec<_> = molecules().take(200).collect();
        let vocabulary = Vocabulary::build(Notation::Atoms, &corpus).unwrap();
        corpus.reverse();
        assert_eq!(
            Vocabulary::build(Notation::Atoms, &corpus).unwrap(),
            vocabulary
        );
    }

    #[test]
    fn a_vocabulary_survives_its_list_of_tokens() {
        let vocabulary = Vocabulary::build(Notation::Atoms, &[smiles("C[C@@H](F)Cl")]).unwrap();
        let copy = Vocabulary::from_tokens(Notation::Atoms, vocabulary.tokens().to_vec()).unwrap();
        assert_eq!(copy, vocabulary);
        assert_eq!(copy.id("Cl"), vocabulary.id("Cl"));
    }

    #[test]
    fn an_empty_corpus_has_only_special_tokens() {
        assert_eq!(
            Vocabulary::build(Notation::Atoms, []).unwrap().tokens(),
            SPECIALS
        );
    }

    #[test]
    fn every_problem_of_a_list_is_reported() {
        assert_eq!(
            problems(&["<pad>", "C", "<end>", "C", "", "CC", "<start>", "<unk>"]),
            "not a vocabulary: 6 problems\n  \
             token 1 is \"C\", not `<start>`\n  \
             token 3 \"C\" repeats token 1\n  \
             token 4 \"\" is not one SMILES token: byte 0: the token is empty; \
             expected an atom, a bond, a branch, `.` or a ring closure\n  \
             token 5 \"CC\" is not one SMILES token: byte 1: `C` starts another token; \
             expected a single token\n  \
             token 6 is `<start>`, whose place is 1\n  \
             token 7 \"<unk>\" is not one SMILES token: byte 0: `<` is not a SMILES token; \
             expected an atom, a bond, a branch, `.` or a ring closure"
        );
    }

    #[test]
    fn missing_special_tokens_are_named() {
        assert_eq!(
            problems(&["<pad>", "<start>"]),
            "not a vocabulary: token 2 is missing; it must be `<end>`"
        );
    }

    #[test]
    fn more_tokens_than_ids_are_refused() {
        let isotopes = (1..=999)
            .flat_map(|isotope| (0..=99).map(move |charge| format!("[{isotope}C+{charge}]")));
        let tokens: Vec<_> = list(&SPECIALS).into_iter().chain(isotopes).collect();
        let most = Vocabulary::from_tokens(Notation::Atoms, tokens[..MAX_TOKENS].to_vec()).unwrap();
        assert_eq!(most.len(), MAX_TOKENS);
        assert_eq!(most.id(&tokens[MAX_TOKENS - 1]), Some(u16::MAX));
        let error =
            Vocabulary::from_tokens(Notation::Atoms, tokens[..=MAX_TOKENS].to_vec()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not a vocabulary: 65537 tokens; at most 65536 can be numbered"
        );
    }

    #[test]
    fn a_token_the_vocabulary_lacks_is_named_with_its_byte() {
        let vocabulary = Vocabulary::build(Notation::Atoms, &[smiles("CCO")]).unwrap();
        let error = vocabulary.encode(&smiles("CC[NH3+]")).unwrap_err();
        assert_eq!(error.offset(), Some(2));
        assert_eq!(error.unknown_token_text(), Some("[NH3+]"));
        assert_eq!(
            error.to_string(),
            "byte 2: `[NH3+]` is not in the vocabulary of 5 tokens"
        );
    }

    #[test]
    fn encoding_adds_no_special_tokens() {
        let vocabulary = Vocabulary::build(Notation::Atoms, &[smiles("CO")]).unwrap();
        assert_eq!(vocabulary.encode(&smiles("COC")).unwrap()[..], [3, 4, 3]);
    }

    #[test]
    fn every_molecule_of_the_library_survives_encoding() {
        let corpus: Vec<_> = molecules().collect();
        let vocabulary = Vocabulary::build(Notation::Atoms, &corpus).unwrap();
        for smiles in &corpus {
            let tokens = vocabulary.encode(smiles).unwrap();
            assert_eq!(tokens.len(), smiles.tokens().count());
            assert_eq!(vocabulary.decode(&tokens).unwrap(), smiles.as_str());
        }
    }

    #[test]
    fn decoding_stops_at_the_end() {
        let vocabulary = Vocabulary::build(Notation::Atoms, &[smiles("CO")]).unwrap();
        assert_eq!(
            vocabulary.decode([START, 3, 4, END, 3, PADDING]).unwrap(),
            "CO"
        );
        assert_eq!(vocabulary.decode([3u32, 4]).unwrap(), "CO");
        assert_eq!(vocabulary.decode([END]).unwrap(), "");
        assert_eq!(vocabulary.decode([0u16; 0]).unwrap(), "");
    }

    #[test]
    fn a_misplaced_special_token_is_not_swallowed() {
        let vocabulary = Vocabulary::build(Notation::Atoms, &[smiles("CO")]).unwrap();
        let text = vocabulary.decode([3, PADDING, 4, START, END]).unwrap();
        assert_eq!(text, "C<pad>O<start>");
        assert!(Smiles::parse(&text).is_err());
    }

    #[test]
    fn an_id_out_of_range_is_refused_unless_it_follows_the_end() {
        let vocabulary = Vocabulary::build(Notation::Atoms, &[smiles("CO")]).unwrap();
        assert_eq!(
            vocabulary.decode([3u32, 5]).unwrap_err().to_string(),
            "token id 5 is out of range for a vocabulary of 5 tokens"
        );
        assert!(vocabulary.decode([u32::MAX]).is_err());
        assert_eq!(vocabulary.decode([3u32, 2, 5]).unwrap(), "C");
    }
}
