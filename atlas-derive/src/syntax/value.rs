//! Readers of the values that keys take.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Expr, ExprLit, ExprPath, Lit, LitStr, Path, Token, parenthesized, token};

/// A version of the parameter schema, as written.
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) span: Span,
}

/// A migration step, as written: `1 => path`.
pub(crate) struct Step {
    pub(crate) from: u32,
    pub(crate) span: Span,
    pub(crate) path: ExprPath,
}

/// A key without a value.
pub(crate) fn flag(key: &Ident, input: ParseStream) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        Ok(())
    } else {
        Err(input.error(format!("`{key}` takes no value")))
    }
}

/// A key without a value, or `key = path::to::function`.
pub(crate) fn flag_or_function(key: &Ident, input: ParseStream) -> syn::Result<Option<ExprPath>> {
    if input.is_empty() || input.peek(Token![,]) {
        Ok(None)
    } else {
        function(key, input).map(Some)
    }
}

/// `key = EXPR`.
pub(crate) fn expr(key: &Ident, input: ParseStream) -> syn::Result<Expr> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(
            key.span(),
            format!("`{key}` takes a value: `{key} = …`"),
        ));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(syn::Error::new(
            key.span(),
            format!("`{key} =` is followed by no value"),
        ));
    }
    input.parse().map(ungrouped)
}

/// What a `macro_rules!` passed on as one expression, without the group that keeps it one.
fn ungrouped(expr: Expr) -> Expr {
    match expr {
        Expr::Group(group) => ungrouped(*group.expr),
        other => other,
    }
}

/// `key = [EXPR, …]`.
pub(crate) fn exprs(key: &Ident, input: ParseStream) -> syn::Result<(token::Bracket, Vec<Expr>)> {
    match expr(key, input)? {
        Expr::Array(array) => Ok((
            array.bracket_token,
            array.elems.into_iter().map(ungrouped).collect(),
        )),
        other => {
            let message = format!("expected a list in brackets: `{key} = [a, b]`");
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

/// `key = path::to::function`.
pub(crate) fn function(key: &Ident, input: ParseStream) -> syn::Result<ExprPath> {
    match expr(key, input)? {
        Expr::Path(path) => Ok(path),
        other => {
            let message = not_a_path(key, &other, "a function");
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

/// `key = path::to::module`.
pub(crate) fn module(key: &Ident, input: ParseStream) -> syn::Result<Path> {
    match expr(key, input)? {
        Expr::Path(ExprPath {
            qself: None, path, ..
        }) if path
            .segments
            .iter()
            .all(|segment| segment.arguments.is_none()) =>
        {
            Ok(path)
        }
        other => {
            let message = not_a_path(key, &other, "a crate or module");
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

/// `key = "text"`.
pub(crate) fn text(key: &Ident, input: ParseStream) -> syn::Result<LitStr> {
    match expr(key, input)? {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text),
        other => {
            let message = format!("expected a string literal: `{key} = \"…\"`");
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

/// `key = ["text", …]`.
pub(crate) fn texts(key: &Ident, input: ParseStream) -> syn::Result<Vec<LitStr>> {
    let (_, items) = exprs(key, input)?;
    let text = |item: Expr| match item {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text),
        other => {
            let message = format!("expected string literals: `{key} = [\"…\"]`");
            Err(syn::Error::new_spanned(other, message))
        }
    };
    items.into_iter().map(text).collect()
}

/// `key = Identifier`.
pub(crate) fn ident(key: &Ident, input: ParseStream) -> syn::Result<Ident> {
    let value = expr(key, input)?;
    match &value {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    }
    .ok_or_else(|| {
        syn::Error::new_spanned(&value, format!("expected an identifier: `{key} = Name`"))
    })
}

/// `key(Path, Path)`.
pub(crate) fn derives(key: &Ident, input: ParseStream) -> syn::Result<Vec<Path>> {
    if !input.peek(token::Paren) {
        let form = format!("expected the derives in parentheses: `{key}(Eq, Hash)`");
        return Err(syn::Error::new(key.span(), form));
    }
    let content;
    parenthesized!(content in input);
    let paths = content.parse_terminated(Path::parse_mod_style, Token![,]);
    // After a mistake the rest would be reported as unexpected.
    content.parse::<TokenStream>()?;
    Ok(paths?.into_iter().collect())
}

/// `version = 2`.
pub(crate) fn version(key: &Ident, input: ParseStream) -> syn::Result<Version> {
    let value = expr(key, input)?;
    let Expr::Lit(ExprLit {
        lit: Lit::Int(number),
        ..
    }) = &value
    else {
        return Err(syn::Error::new_spanned(
            &value,
            "expected a number of 1 or more, such as `version = 2`",
        ));
    };
    match number.base10_parse::<u32>() {
        Ok(0) => Err(syn::Error::new(number.span(), "versions count from 1")),
        Ok(parsed) => Ok(Version {
            number: parsed,
            span: number.span(),
        }),
        Err(_) => Err(syn::Error::new(
            number.span(),
            format!("a version is at most {}", u32::MAX),
        )),
    }
}

/// `migrate(1 => path, 2 => path)`.
pub(crate) fn steps(key: &Ident, input: ParseStream) -> syn::Result<Vec<Step>> {
    let form = format!("expected `{key}(1 => path, …)`, one step for every older version");
    if !input.peek(token::Paren) {
        return Err(syn::Error::new(key.span(), form));
    }
    let content;
    parenthesized!(content in input);
    if content.is_empty() {
        return Err(syn::Error::new(key.span(), form));
    }
    let steps = content.parse_terminated(step, Token![,]);
    // After a mistake the rest would be reported as unexpected.
    content.parse::<TokenStream>()?;
    Ok(steps?.into_iter().collect())
}

fn step(input: ParseStream) -> syn::Result<Step> {
    let from: syn::LitInt = input.parse()?;
    input.parse::<Token![=>]>()?;
    let path = match input.parse()? {
        Expr::Path(path) => path,
        other => {
            return Err(syn::Error::new_spanned(
                other,
                "expected the path of a function",
            ));
        }
    };
    match from.base10_parse::<u32>() {
        Ok(0) => Err(syn::Error::new(from.span(), "versions count from 1")),
        Ok(parsed) => Ok(Step {
            from: parsed,
            span: from.span(),
            path,
        }),
        Err(_) => Err(syn::Error::new(
            from.span(),
            format!("a version is at most {}", u32::MAX),
        )),
    }
}

fn not_a_path(key: &Ident, value: &Expr, what: &str) -> String {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => {
            format!(
                "expected the path of {what}, without quotes: `{key} = {}`",
                text.value()
            )
        }
        Expr::Closure(_) => {
            format!("expected the path of {what}; write the closure as a function and name it")
        }
        Expr::Call(_) => {
            format!("expected the path of {what}; name the function without calling it")
        }
        _ => format!("expected the path of {what}"),
    }
}

/// The name of an identifier without `r#`.
pub(crate) fn unraw(ident: &Ident) -> String {
    ident.unraw().to_string()
}
