//! The constraint of a parameter, as far as its keys say it. Whether its values agree with each
//! other and with the default, the compiler proves.

use crate::checked::Constraint;
use crate::syntax::{Ctxt, ParamSlots};

pub(super) fn constraint(ctxt: &Ctxt, name: &str, slots: &ParamSlots) -> Constraint {
    let one_of = match slots.one_of.value() {
        Some((brackets, items)) => {
            if items.is_empty() {
                ctxt.push(syn::Error::new(
                    brackets.span.join(),
                    format!("`one_of` leaves no value for `{name}`"),
                ));
            }
            items.clone()
        }
        None => Vec::new(),
    };
    Constraint {
        min: slots.min.value().cloned(),
        max: slots.max.value().cloned(),
        one_of,
        multiple_of: slots.multiple_of.value().cloned(),
        len: slots
            .len
            .value()
            .and_then(|written| super::len::len(ctxt, written)),
        check: slots.check.value().cloned(),
    }
}
