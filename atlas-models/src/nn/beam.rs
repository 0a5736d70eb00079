//! Beam search: of each sequence several beginnings are followed at once, the most probable ones.

use candle_core::{Result, bail};

use super::tokens::{Decoding, TokenModel};

/// The beginning of a sequence, or all of it.
#[derive(Clone, Default)]
struct Beginning {
    tokens: Vec<u32>,
    /// The logarithm of its probability.
    score: f64,
}

/// The search for one sequence.
struct Search {
    /// The most probable first.
    beginnings: Vec<Beginning>,
    /// The most probable sequence that has ended.
    ended: Option<Beginning>,
}

/// A beginning and its next token.
struct Candidate {
    score: f64,
    beginning: usize,
    token: u32,
}

/// The most probable sequence from each of the state's, among those that `width` beginnings at a
/// time lead to.
pub(super) fn search<M: TokenModel>(
    model: &M,
    mut state: M::State,
    decoding: &Decoding<'_>,
    width: usize,
) -> Result<Vec<Vec<u32>>> {
    let search = |_| Search {
        beginnings: vec![Beginning::default()],
        ended: None,
    };
    let mut searches: Vec<Search> = (0..model.batch(&state)).map(search).collect();
    let mut tokens = vec![decoding.begin; searches.len()];
    let mut logits = Vec::new();
    for _ in 0..decoding.max_steps {
        if tokens.is_empty() {
            break;
        }
        model.step(&tokens, &mut state, &mut logits)?;
        let mut rows = logits.chunks_exact_mut(model.vocabulary());
        let (mut row, mut kept) = (0, Vec::new());
        tokens.clear();
        for search in &mut searches {
            let count = search.beginnings.len();
            let mut candidates = Vec::new();
            for (beginning, logits) in rows.by_ref().take(count).enumerate() {
                search.score(beginning, logits, decoding.forbidden, &mut candidates)?;
            }
            for candidate in search.advance(candidates, decoding.end, width) {
                kept.push(row + candidate.beginning);
                tokens.push(candidate.token);
            }
            row += count;
        }
        state = model.select(&state, &kept);
    }
    let found = |search: Search| {
        let longest = search.beginnings.into_iter().next();
        search.ended.or(longest).unwrap_or_default().tokens
    };
    Ok(searches.into_iter().map(found).collect())
}

impl Search {
    /// Adds a beginning with each token that may follow it.
    fn score(
        &self,
        beginning: usize,
        logits: &mut [f32],
        forbidden: &[u32],
        candidates: &mut Vec<Candidate>,
    ) -> Result<()> {
        for &token in forbidden {
            logits[token as usize] = f32::NEG_INFINITY;
        }
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !max.is_finite() {
            bail!("no token can be chosen: the largest logit is {max}")
        }
        let max = f64::from(max);
        let exponentials = logits.iter().map(|&logit| (f64::from(logit) - max).exp());
        let total: f64 = exponentials.sum();
        if total.is_nan() {
            bail!("no token can be chosen: a logit is not a number")
        }
        let before = self.beginnings[beginning].score - max - total.ln();
        let scores = logits.iter().map(|&logit| before + f64::from(logit));
        let possible = scores
            .zip(0..)
            .filter(|(score, _)| *score > f64::NEG_INFINITY);
        candidates.extend(possible.map(|(score, token)| Candidate {
            score,
            beginning,
            token,
        }));
        Ok(())
    }

    /// Goes on with the most probable candidates, the first of equals, and gives those that are
    /// followed further. What is less probable than a sequence that has ended stays so.
    fn advance(
        &mut self,
        mut candidates: Vec<Candidate>,
        end: u32,
        width: usize,
    ) -> Vec<Candidate> {
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        candidates.truncate(width);
        let least = self
            .ended
            .as_ref()
            .map_or(f64::NEG_INFINITY, |ended| ended.score);
        candidates.retain(|candidate| candidate.score > least);
        if let Some(place) = candidates
            .iter()
            .position(|candidate| candidate.token == end)
        {
            let ended = &candidates[place];
            let tokens = self.beginnings[ended.beginning].tokens.clone();
            let score = ended.score;
            self.ended = Some(Beginning { tokens, score });
            candidates.truncate(place);
        }
        let follow = |candidate: &Candidate| {
            let mut tokens = self.beginnings[candidate.beginning].tokens.clone();
            tokens.push(candidate.token);
            let score = candidate.score;
            Beginning { tokens, score }
        };
        self.beginnings = candidates.iter().map(follow).collect();
        candidates
    }
}
