//! Expansion without a compiler: what is said of any input, however odd.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{DeriveInput, File, parse_quote, parse_str};

use crate::{atlas_model, choice, params};

type Expand = fn(&DeriveInput) -> TokenStream;

/// The messages of the `compile_error!`s in the code.
fn messages(code: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = code.into_iter().collect();
    let mut messages = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        let is_error = position >= 2
            && tokens[position - 2].to_string() == "compile_error"
            && group.delimiter() == Delimiter::Brace;
        if is_error {
            let message: syn::LitStr = syn::parse2(group.stream()).unwrap();
            messages.push(message.value());
        } else {
            messages.extend(self::messages(group.stream()));
        }
    }
    messages
}

#[test]
fn a_struct_without_mistakes_expands_without_errors() {
    let code = atlas_model(&parse_quote! {
        struct Mlp {
            #[param(default = 20, min = 1)]
            input_size: usize,
            #[network(with = build_net, golden = [4, input_size])]
            net: Sequential,
        }
    });
    assert!(messages(code.clone()).is_empty());
    syn::parse2::<File>(code).unwrap();
}

#[test]
fn every_mistake_of_a_struct_is_reported() {
    let found = messages(atlas_model(&parse_quote! {
        #[atlas(name = "", nme = 1, version)]
        struct Mlp {
            #[param(default = 20, max = 10, max = 11)]
            input_size: usize,
            #[param(defualt = 3)]
            hidden_size: usize,
            forgotten: Sequential,
        }
    }));
    assert_eq!(
        found,
        [
            "unknown key `nme`; did you mean `name`?",
            "`version` takes a value: `version = …`",
            "duplicate key `max`",
            "unknown key `defualt`; did you mean `default`?",
            "`forgotten` needs one of `#[param]` (a parameter), `#[network]` (a network with weights) and \
             `#[derived(with = …)]` (computed from the parameters)",
            "the name of a model cannot be empty",
        ]
    );
}

#[test]
fn a_failed_model_still_has_its_parameters_struct_and_impls() {
    let code = atlas_model(&parse_quote! {
        #[atlas(params = Sizes)]
        pub struct Mlp {
            #[param(defualt = 20)]
            pub input_size: usize,
            #[network]
            pub net: Net,
        }
    });
    let file: File = syn::parse2(code.clone()).unwrap();
    let fields = file.items.iter().find_map(|item| match item {
        syn::Item::Struct(item) if item.ident == "Sizes" => Some(item.fields.len()),
        _ => None,
    });
    assert_eq!(fields, Some(1));
    assert!(code.to_string().contains("AtlasModel for Mlp"));
}

/// Tokens that mean something to the parser, and some that do not.
const WORDS: &[&str] = &[
    "default",
    "min",
    "max",
    "one_of",
    "multiple_of",
    "len",
    "check",
    "nested",
    "with",
    "name",
    "version",
    "migrate",
    "golden",
    "build",
    "params",
    "crate",
    "validate",
    "=",
    "=",
    "=",
    ",",
    ",",
    "=>",
    "::",
    "-",
    "!",
    "..",
    "..=",
    "#",
    "'a",
    "|x|",
    "&",
    "?",
    ";",
    "1",
    "0",
    "-1",
    "1.5",
    "1e999",
    "99999999999999999999999999999999999999999999",
    "300u8",
    "\"text\"",
    "'c'",
    "b\"bytes\"",
    "true",
    "None",
    "Some(1)",
    "Some(\"a\")",
    "vec![1, 2]",
    "vec![1; 2]",
    "vec![;]",
    "[]",
    "[1, 1]",
    "[\"a\"; 3]",
    "()",
    "(1 => f, 1 => g)",
    "(=>)",
    "{}",
    "{ 1 }",
    "path::to",
    "<T as U>::f",
    "r#type",
    "self",
    "Self",
    "_",
    "$",
    "f()",
    "1..=3",
    "..",
    "5..2",
    "..0",
    "if",
    "struct",
    "|| 1",
];

/// The next of a fixed sequence of numbers below `limit`.
fn draw(state: &mut u64, limit: usize) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % limit
}

fn soup(state: &mut u64) -> String {
    let length = draw(state, 9);
    (0..length)
        .map(|_| WORDS[draw(state, WORDS.len())])
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn no_tokens_make_a_derive_panic_and_what_it_emits_is_rust() {
    const TYPES: &[&str] = &[
        "usize",
        "f32",
        "String",
        "Option<Vec<u8>>",
        "[bool; 2]",
        "&str",
        "(u8, u8)",
        "Net",
        "char",
    ];
    let state = &mut 1;
    for _ in 0..4000 {
        let (on_struct, on_param, on_network) = (soup(state), soup(state), soup(state));
        let ty = TYPES[draw(state, TYPES.len())];
        let model = format!(
            "#[atlas({on_struct})] struct Mlp {{ #[param({on_param})] size: {ty}, #[network({on_network})] net: Net }}"
        );
        let group =
            format!("#[atlas({on_struct})] struct Group {{ #[param({on_param})] size: {ty} }}");
        let names = format!("#[choice({on_struct})] enum Names {{ #[choice({on_param})] A, B }}");
        let derives: [(&str, Expand); 3] =
            [(&model, atlas_model), (&group, params), (&names, choice)];
        for (item, derive) in derives {
            // What the compiler cannot even tokenize never reaches a derive.
            let Ok(input) = parse_str::<DeriveInput>(item) else {
                continue;
            };
            let code = derive(&input);
            assert!(syn::parse2::<File>(code.clone()).is_ok(), "{item}\n{code}");
        }
    }
}

#[test]
fn items_of_every_kind_are_refused_or_expanded() {
    for item in [
        "struct A;",
        "struct A();",
        "struct A(#[param] usize);",
        "struct A {}",
        "struct A<'a, T: ?Sized, const N: usize> where T: 'a { #[param] x: [u8; N], #[network] y: &'a T }",
        "enum A {}",
        "enum A { B, C(u8), D { e: u8 } }",
        "union A { a: u8, b: u8 }",
        "struct A { #[param = 1] a: u8, #[param[default = 1]] b: u8, #[param{default = 1}] c: u8 }",
        "#[atlas] #[atlas = \"x\"] struct A { #[param] #[network] #[derived] #[param] a: u8 }",
        "struct r#type { #[param] r#fn: u8, #[network] r#struct: Net }",
    ] {
        let input: DeriveInput = parse_str(item).unwrap();
        for derive in [atlas_model, params, choice] {
            let code = derive(&input);
            assert!(syn::parse2::<File>(code.clone()).is_ok(), "{item}\n{code}");
        }
    }
}
