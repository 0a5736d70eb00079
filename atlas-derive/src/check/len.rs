//! `len = RANGE`: the bounds of a length, both included.

use syn::{Expr, ExprLit, ExprRange, Lit, LitInt, RangeLimits, parse_quote};

use crate::checked::Len;
use crate::syntax::Ctxt;

/// Reads `1..=8`, `1..9`, `2..`, `..=5` or `3`.
pub(super) fn len(ctxt: &Ctxt, written: &Expr) -> Option<Len> {
    match written {
        Expr::Paren(paren) => len(ctxt, &paren.expr),
        Expr::Group(group) => len(ctxt, &group.expr),
        Expr::Range(ExprRange {
            start: None,
            end: None,
            ..
        }) => {
            ctxt.error(written, "this range allows every length");
            None
        }
        Expr::Range(range) => Some(Len {
            min: range.start.as_deref().cloned(),
            max: max(ctxt, range)?,
        }),
        Expr::Lit(ExprLit {
            lit: Lit::Int(_), ..
        })
        | Expr::Path(_)
        | Expr::Binary(_) => Some(Len {
            min: Some(written.clone()),
            max: Some(written.clone()),
        }),
        _ => {
            ctxt.error(
                written,
                "expected a length or a range of lengths, such as `3` or `1..=8`",
            );
            None
        }
    }
}

/// The largest length; `None` after a mistake, `Some(None)` if there is none.
fn max(ctxt: &Ctxt, range: &ExprRange) -> Option<Option<Expr>> {
    let Some(end) = range.end.as_deref() else {
        return Some(None);
    };
    if matches!(range.limits, RangeLimits::Closed(_)) {
        return Some(Some(end.clone()));
    }
    let Expr::Lit(ExprLit {
        lit: Lit::Int(literal),
        ..
    }) = end
    else {
        return Some(Some(parse_quote!((#end) - 1)));
    };
    // What is too large for `u64` is reported by the compiler as a `usize`.
    let last = match literal.base10_parse::<u64>() {
        Ok(0) => {
            ctxt.error(range, "no length is less than 0");
            return None;
        }
        Ok(end) => end - 1,
        Err(_) => return Some(Some(end.clone())),
    };
    let last = LitInt::new(&format!("{last}{}", literal.suffix()), literal.span());
    Some(Some(parse_quote!(#last)))
}
