//! The version of the parameter schema, with a step from every older one.

use std::collections::BTreeSet;

use syn::ExprPath;

use crate::syntax::{Ctxt, Step, StructSlots};

/// How many missing steps a message names before it counts the rest.
const NAMED: usize = 3;

/// The version, and the steps that lead to it from version 1 on, in order.
pub(super) fn version(ctxt: &Ctxt, slots: &StructSlots) -> (u32, Vec<ExprPath>) {
    let version = slots.version.value();
    let number = version.map_or(1, |version| version.number);
    let steps: &[Step] = slots.migrate.value().map_or(&[], Vec::as_slice);
    // Beside a version or steps that could not be read, nothing can be said of the other.
    if slots.version.key().is_some() != version.is_some()
        || slots.migrate.key().is_some() != slots.migrate.value().is_some()
    {
        return (number, Vec::new());
    }

    let mut seen = BTreeSet::new();
    for step in steps {
        if step.from >= number {
            let message = format!(
                "a step from version {} leads beyond version {number}{}",
                step.from,
                if version.is_none() {
                    ", which the model has unless `version = …` says otherwise"
                } else {
                    ""
                }
            );
            ctxt.push(syn::Error::new(step.span, message));
        } else if !seen.insert(step.from) {
            ctxt.push(syn::Error::new(
                step.span,
                format!("duplicate step from version {}", step.from),
            ));
        }
    }
    if let Some(version) = version {
        let missing = (number - 1) as usize - seen.len();
        if missing > 0 {
            let named: Vec<u32> = (1..number)
                .filter(|from| !seen.contains(from))
                .take(NAMED)
                .collect();
            ctxt.push(syn::Error::new(
                version.span,
                missing_steps(number, missing, &named),
            ));
        }
    }

    let mut ordered: Vec<&Step> = steps.iter().collect();
    ordered.sort_by_key(|step| step.from);
    (
        number,
        ordered.into_iter().map(|step| step.path.clone()).collect(),
    )
}

fn missing_steps(version: u32, missing: usize, named: &[u32]) -> String {
    let steps: Vec<String> = named.iter().map(|from| format!("{from} => …")).collect();
    let more = if missing > named.len() { ", …" } else { "" };
    format!(
        "version {version} lacks {missing} migration {}: `migrate({}{more})`",
        if missing == 1 { "step" } else { "steps" },
        steps.join(", ")
    )
}
