//! Which tensor of a file becomes which tensor of a network.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Problem, Report, suggestion};
use crate::tensors::{self, Tensors};

/// Which tensor of a file becomes which tensor of a network: a list of rules, of which the first
/// that matches a tensor's name decides.
///
/// In JSON it is an array of objects, in code a chain of calls:
///
/// ```
/// use atlas_core::weights::Mapping;
///
/// let read: Mapping = serde_json::from_str(r#"[
///     { "from": "transformer.h.*.attn.c_attn.weight", "to": "net/h.*.attn.weight", "transpose": true },
///     { "from": "transformer.*", "to": "net/*" },
///     { "from": "lm_head.weight", "ignore": true }
/// ]"#)?;
/// let written = Mapping::new()
///     .transpose("transformer.h.*.attn.c_attn.weight", "net/h.*.attn.weight")
///     .rename("transformer.*", "net/*")
///     .ignore("lm_head.weight");
/// assert_eq!(read, written);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// - `from` is a name in which each `*` stands for any text, dots included, and takes as little of
///   it as it can.
/// - `to` is `network/name`, with as many `*`: each becomes what that of `from` stands for.
/// - `transpose` swaps rows and columns: for linear layers that are stored as `[in, out]`.
/// - `ignore` leaves tensors out.
///
/// Each rule must take a tensor, and each tensor needs a rule. Several tensors may become one if
/// they are equal: tied weights that a file has twice. PyTorch's counters of batch norms
/// (`num_batches_tracked` beside a `running_mean`) are left out, unless a rule's `from` ends in
/// that name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    transpose: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ignore: bool,
}

impl Mapping {
    /// A mapping without rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every tensor becomes one of this network, by its own name.
    pub fn network(name: &str) -> Self {
        Self::new().rename("*", format!("{name}/*"))
    }

    /// Adds the rule that tensors `from` become those that `to` names.
    pub fn rename(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.with(Rule {
            from: from.into(),
            to: Some(to.into()),
            ..Rule::default()
        })
    }

    /// Adds the rule that matrices `from` become those that `to` names, with rows and columns
    /// swapped.
    pub fn transpose(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.with(Rule {
            from: from.into(),
            to: Some(to.into()),
            transpose: true,
            ..Rule::default()
        })
    }

    /// Adds the rule that tensors `from` are left out.
    pub fn ignore(self, from: impl Into<String>) -> Self {
        self.with(Rule {
            from: from.into(),
            ignore: true,
            ..Rule::default()
        })
    }

    fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The tensors of each network, or all that is wrong.
    pub(super) fn apply(
        &self,
        tensors: &Tensors,
        networks: &[&str],
    ) -> Result<BTreeMap<String, Tensors>, Report> {
        let mut mapped = Mapped::default();
        let mut used = vec![false; self.rules.len()];
        for (name, tensor) in tensors {
            let is_counter = tensors::is_batch_counter(name, tensors);
            let mut rules = self.rules.iter().zip(&mut used);
            let taken = rules.find_map(|(rule, used)| {
                let is_meant = !is_counter || rule.from.ends_with(tensors::BATCH_COUNTER);
                let texts = matched(&rule.from, name).filter(|_| is_meant)?;
                *used = true;
                Some((rule, texts))
            });
            match taken {
                Some((rule, texts)) => mapped.add(rule, &texts, name, tensor),
                None if is_counter => {}
                None => mapped.note(name, tensor, "no rule matches it"),
            }
        }
        mapped.check_networks(networks);
        for (rule, used) in self.rules.iter().zip(used) {
            let is_hidden = || {
                tensors
                    .keys()
                    .any(|name| matched(&rule.from, name).is_some())
            };
            let why = match rule.defect() {
                Some(why) => why,
                None if used => continue,
                None if is_hidden() => "other rules take all tensors that it matches".to_owned(),
                None => "it matches no tensor".to_owned(),
            };
            mapped.report.push(Problem::new(&rule.from, why));
        }
        let networks = mapped.networks;
        mapped
            .report
            .into_result(|report| report)
            .map(|()| networks)
    }
}

impl Rule {
    /// Why there can be no such rule.
    fn defect(&self) -> Option<String> {
        match (&self.to, self.ignore) {
            (Some(_), true) => Some("a rule has no `to` if it has `ignore`".to_owned()),
            (None, false) => Some("a rule has `to` or `ignore`".to_owned()),
            (None, true) if self.transpose => Some("what is ignored is not transposed".to_owned()),
            (None, true) => None,
            (Some(to), false) => {
                let count = |pattern: &str| pattern.matches('*').count();
                let (here, there) = (count(&self.from), count(to));
                if here != there {
                    Some(format!(
                        "`{to}` has {there} `*`, and not {here} as `from` has"
                    ))
                } else if to.contains('/') {
                    None
                } else {
                    Some(format!("`{to}` is not `network/name`"))
                }
            }
        }
    }
}

/// What rules have made of tensors so far.
#[derive(Default)]
struct Mapped {
    networks: BTreeMap<String, Tensors>,
    /// The names that tensors had before, by network and name.
    sources: BTreeMap<(String, String), String>,
    report: Report,
}

impl Mapped {
    /// Does as the rule says with a tensor in whose name these texts stand for its `*`.
    fn add(&mut self, rule: &Rule, texts: &[&str], source: &str, tensor: &Tensor) {
        let (None, Some(to)) = (rule.defect(), &rule.to) else {
            return;
        };
        let to = substituted(to, texts);
        let Some((network, name)) = to.split_once('/') else {
            return;
        };
        let tensor = if rule.transpose {
            match tensor.t().and_then(|tensor| tensor.contiguous()) {
                Ok(transposed) if tensor.rank() == 2 => transposed,
                _ => return self.note(source, tensor, "only a matrix can be transposed"),
            }
        } else {
            tensor.clone()
        };
        match self.sources.entry((network.to_owned(), name.to_owned())) {
            Entry::Vacant(entry) => {
                entry.insert(source.to_owned());
                let tensors = self.networks.entry(network.to_owned()).or_default();
                tensors.insert(name.to_owned(), tensor);
            }
            Entry::Occupied(first) => {
                let there = &self.networks[network][name];
                if !is_equal(there, &tensor) {
                    let first = first.get();
                    let why = format!("`{first}` and `{source}` become it, and differ");
                    self.report.push(Problem::new(&to, why));
                }
            }
        }
    }

    fn check_networks(&mut self, known: &[&str]) {
        for network in self.networks.keys() {
            if !known.contains(&network.as_str()) {
                let why = format!("the model has no such network, but {}", known.join(", "));
                let near = suggestion(network, known.iter().copied());
                let problem = Problem::new(network, why).with_suggestion(near);
                self.report.push(problem);
            }
        }
    }

    fn note(&mut self, name: &str, tensor: &Tensor, why: &str) {
        let found = tensors::describe(tensor.dtype(), tensor.dims());
        self.report.push(Problem::new(name, why).with_found(found));
    }
}

/// What the `*` of a pattern stand for in a name that it matches.
fn matched<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let Some((start, rest)) = pattern.split_once('*') else {
        return (pattern == name).then(Vec::new);
    };
    let mut name = name.strip_prefix(start)?;
    let mut texts = Vec::new();
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        let end = if parts.peek().is_none() {
            name.strip_suffix(part)?.len()
        } else {
            name.find(part)?
        };
        texts.push(&name[..end]);
        name = &name[end + part.len()..];
    }
    Some(texts)
}

/// The pattern with the texts in the places of its `*`.
fn substituted(pattern: &str, texts: &[&str]) -> String {
    let mut parts = pattern.split('*');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for (text, part) in texts.iter().zip(parts) {
        name += text;
        name += part;
    }
    name
}

/// Whether two tensors have the same dtype, shape and elements.
fn is_equal(left: &Tensor, right: &Tensor) -> bool {
    if left.dtype() != right.dtype() || left.dims() != right.dims() {
        return false;
    }
    tensors::with_element!(left.dtype(), T => {
        let elements = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<T>();
        matches!((elements(left), elements(right)), (Ok(left), Ok(right)) if left == right)
    }, else false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_as_little_as_it_can() {
        for (pattern, name, texts) in [
            ("a.b", "a.b", Some(vec![])),
            ("a.b", "a.bc", None),
            ("*", "a.b", Some(vec!["a.b"])),
            ("*", "", Some(vec![""])),
            ("a.*", "a.b.c", Some(vec!["b.c"])),
            ("a.*", "b.a.c", None),
            ("*.weight", "weight.weight", Some(vec!["weight"])),
            ("*.*", "a.b.c", Some(vec!["a", "b.c"])),
            ("h.*.b.*.c", "h.0.b.b.b.c", Some(vec!["0", "b.b"])),
            ("a*a", "a", None),
            ("a*é*", "aüéü", Some(vec!["ü", "ü"])),
            ("**", "ab", Some(vec!["", "ab"])),
        ] {
            assert_eq!(matched(pattern, name), texts, "{pattern} in {name}");
        }
    }
}
