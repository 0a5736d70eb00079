//! Tells literals and constants, which the compiler can prove, from expressions that only the
//! running program knows.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{BinOp, Expr, ExprLit, Lit, LitStr, Macro, UnOp};

use crate::shape::Shape;

/// The literal that the expression is, without its sign.
pub(super) fn literal(expr: &Expr) -> Option<&Lit> {
    match expr {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Paren(paren) => literal(&paren.expr),
        Expr::Group(group) => literal(&group.expr),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => literal(&unary.expr),
        _ => None,
    }
}

/// Whether the expression is one that a constant may hold: literals, paths, and arithmetic on
/// them. Calls and macros are not.
pub(super) fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Lit(_) | Expr::Path(_) => true,
        Expr::Paren(paren) => is_constant(&paren.expr),
        Expr::Group(group) => is_constant(&group.expr),
        Expr::Cast(cast) => is_constant(&cast.expr),
        Expr::Unary(unary) => !matches!(unary.op, UnOp::Deref(_)) && is_constant(&unary.expr),
        Expr::Binary(binary) => {
            is_pure(&binary.op) && is_constant(&binary.left) && is_constant(&binary.right)
        }
        _ => false,
    }
}

fn is_pure(op: &BinOp) -> bool {
    use BinOp::{Add, BitAnd, BitOr, BitXor, Div, Mul, Rem, Shl, Shr, Sub};
    matches!(
        op,
        Add(_)
            | Sub(_)
            | Mul(_)
            | Div(_)
            | Rem(_)
            | Shl(_)
            | Shr(_)
            | BitAnd(_)
            | BitOr(_)
            | BitXor(_)
    )
}

/// Whether the expression is a path, and which.
pub(super) fn path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Path(path) => Some(path.to_token_stream().to_string()),
        Expr::Paren(paren) => path(&paren.expr),
        Expr::Group(group) => path(&group.expr),
        _ => None,
    }
}

/// An expression that is written out as a list.
pub(super) enum Written {
    /// `[a, b]`, `vec![a, b]`.
    Each(Vec<Expr>),
    /// `[a; n]`, `vec![a; n]`.
    Repeat(Box<Expr>, Box<Expr>),
}

/// The elements of an array expression or of `vec![…]`.
pub(super) fn elements(expr: &Expr) -> Option<Written> {
    match expr {
        Expr::Array(array) => Some(Written::Each(array.elems.iter().cloned().collect())),
        Expr::Repeat(repeat) => Some(Written::Repeat(repeat.expr.clone(), repeat.len.clone())),
        Expr::Macro(call) if is_vec(&call.mac) => elements(&bracketed(&call.mac)?),
        Expr::Paren(paren) => elements(&paren.expr),
        Expr::Group(group) => elements(&group.expr),
        _ => None,
    }
}

/// What is inside `Some(…)`.
pub(super) fn inside_some(expr: &Expr) -> Option<&Expr> {
    let call = match expr {
        Expr::Call(call) => call,
        Expr::Group(group) => return inside_some(&group.expr),
        _ => return None,
    };
    let Expr::Path(function) = &*call.func else {
        return None;
    };
    let is_some = function
        .path
        .segments
        .last()
        .is_some_and(|segment| segment.ident == "Some");
    if is_some && call.args.len() == 1 {
        call.args.first()
    } else {
        None
    }
}

/// Every scalar that is written in the expression of a value of this shape, with its own shape.
/// What is not written out, such as the result of a call, is left out.
pub(super) fn leaves(shape: &Shape, expr: &Expr) -> Vec<(Shape, Expr)> {
    match shape {
        Shape::Option(inner) => inside_some(expr)
            .map(|inside| leaves(inner, inside))
            .unwrap_or_default(),
        Shape::List(inner) | Shape::Array(inner) => match elements(expr) {
            Some(Written::Each(each)) => each
                .iter()
                .flat_map(|element| leaves(inner, element))
                .collect(),
            Some(Written::Repeat(element, _)) => leaves(inner, &element),
            None => Vec::new(),
        },
        Shape::Other if inside_some(expr).is_some() => {
            leaves(&Shape::Option(Box::new(Shape::Other)), expr)
        }
        Shape::Other if elements(expr).is_some() => {
            leaves(&Shape::List(Box::new(Shape::Other)), expr)
        }
        scalar => vec![(scalar.clone(), expr.clone())],
    }
}

/// The expression with its string literals made `String`s, where the shape does not say that they
/// are something else.
pub(super) fn owned_texts(shape: &Shape, expr: &Expr) -> TokenStream {
    if !matches!(shape.element(), Shape::Text | Shape::Other) {
        return expr.to_token_stream();
    }
    match expr {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => owned(text),
        Expr::Group(group) => owned_texts(shape, &group.expr),
        Expr::Array(array) => {
            let each = array
                .elems
                .iter()
                .map(|element| owned_texts(shape, element));
            quote!([#(#each),*])
        }
        Expr::Repeat(repeat) => {
            let (element, len) = (owned_texts(shape, &repeat.expr), &repeat.len);
            quote!([#element; #len])
        }
        Expr::Macro(call) if is_vec(&call.mac) => match bracketed(&call.mac) {
            Some(list) => {
                let (path, list) = (&call.mac.path, owned_texts(shape, &list));
                quote!(#path! #list)
            }
            None => expr.to_token_stream(),
        },
        Expr::Call(call) => match inside_some(expr) {
            Some(inside) => {
                let (function, inside) = (&call.func, owned_texts(shape, inside));
                quote!(#function(#inside))
            }
            None => expr.to_token_stream(),
        },
        other => other.to_token_stream(),
    }
}

fn owned(text: &LitStr) -> TokenStream {
    quote_spanned!(text.span()=> ::std::string::String::from(#text))
}

fn is_vec(call: &Macro) -> bool {
    call.path
        .segments
        .last()
        .is_some_and(|segment| segment.ident == "vec")
}

/// The content of `vec![…]` as an array expression.
fn bracketed(call: &Macro) -> Option<Expr> {
    let tokens = &call.tokens;
    let list = syn::parse2(quote!([#tokens])).ok()?;
    matches!(list, Expr::Array(_) | Expr::Repeat(_)).then_some(list)
}

#[cfg(test)]
mod tests {
    use quote::ToTokens;
    use syn::parse_quote;

    use super::{is_constant, leaves, owned_texts};
    use crate::shape::Shape;

    #[test]
    fn calls_and_macros_are_no_constants() {
        assert!(is_constant(&parse_quote!(-(BASE + 2) * usize::MAX as i64)));
        assert!(!is_constant(&parse_quote!(base() + 2)));
        assert!(!is_constant(&parse_quote!(env!("BASE"))));
        assert!(!is_constant(&parse_quote!(A && B)));
    }

    #[test]
    fn leaves_are_found_in_options_and_lists() {
        let shape = Shape::Option(Box::new(Shape::List(Box::new(Shape::Integer))));
        let found: Vec<String> = leaves(&shape, &parse_quote!(Some(vec![1, LAST])))
            .into_iter()
            .map(|(_, leaf)| leaf.to_token_stream().to_string())
            .collect();
        assert_eq!(found, ["1", "LAST"]);
        assert!(leaves(&shape, &parse_quote!(None)).is_empty());
    }

    #[test]
    fn string_literals_become_strings_at_every_depth() {
        let list = Shape::List(Box::new(Shape::Text));
        let owned = owned_texts(&list, &parse_quote!(vec!["a", B]))
            .to_string()
            .replace(' ', "");
        assert_eq!(owned, r#"vec![::std::string::String::from("a"),B]"#);
        assert_eq!(
            owned_texts(&Shape::Integer, &parse_quote!("a")).to_string(),
            r#""a""#
        );
    }
}
