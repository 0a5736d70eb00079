//! Generates what `derive(AtlasModel)` stands for: the struct of the parameters and the impl of the
//! model.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprPath};

use super::{blamed_on, generated, group, scope};
use crate::checked::{Behaviour, Model, Network};
use crate::syntax::unraw;

/// Everything that a struct that derives `AtlasModel` stands for.
pub(crate) fn model(model: &Model) -> TokenStream {
    let params = params_struct(model);
    let group = group::impls(&model.params);
    let implementation = implementation(model);
    let impls = scope(&model.params.krate, &quote!(#group #implementation));
    quote!(#params #impls)
}

fn params_struct(model: &Model) -> TokenStream {
    let Model {
        ident,
        vis,
        shared,
        params,
        ..
    } = model;
    let name = &params.ident;
    let doc = format!(
        " Parameters of [`{}`], generated from its `#[param]` fields.",
        unraw(ident)
    );
    let derives = &model.params_derive;
    let fields = params.params.iter().map(|param| {
        let (shared, vis, ident, ty) = (&param.shared, &param.vis, &param.ident, &param.ty);
        // What lacks documentation is reported on the model's own field.
        let doc = (!param
            .shared
            .iter()
            .any(|attribute| attribute.path().is_ident("doc")))
        .then(|| {
            let doc = format!(" The parameter `{}`.", param.name);
            quote!(#[doc = #doc])
        });
        quote!(#doc #(#shared)* #vis #ident: #ty)
    });
    quote! {
        #[doc = #doc]
        #(#shared)*
        #[derive(::core::clone::Clone, ::core::fmt::Debug, ::core::cmp::PartialEq, #(#derives),*)]
        #vis struct #name {
            #(#fields,)*
        }
    }
}

fn implementation(model: &Model) -> TokenStream {
    let Model {
        ident,
        name,
        version,
        params,
        networks,
        ..
    } = model;
    let (ident, params_ident) = (generated(ident), generated(&params.ident));
    let doc = &params.doc.0;
    let networks = networks.iter().map(|network| &network.name);
    let (build, buffers) = (build(model), buffers(model));
    let (migrations, behaviour) = (migrations(model), behaviour(model));
    quote! {
        #[automatically_derived]
        impl __atlas::AtlasModel for #ident {
            const NAME: &'static str = #name;
            const VERSION: u32 = #version;
            const DOC: &'static str = #doc;
            const NETWORKS: &'static [&'static str] = &[#(#networks),*];

            #buffers

            type Params = #params_ident;

            #build
            #migrations
            #behaviour
        }
    }
}

/// Derived fields first, which depend on the parameters alone; then the networks.
fn build(model: &Model) -> TokenStream {
    let params_ident = generated(&model.params.ident);
    let params: Vec<_> = model
        .params
        .params
        .iter()
        .map(|param| generated(&param.ident))
        .collect();
    let derived: Vec<_> = model
        .derived
        .iter()
        .map(|derived| generated(&derived.ident))
        .collect();
    let derived_locals: Vec<_> = derived.iter().map(local).collect();
    let derived_values = model.derived.iter().map(|derived| {
        let (name, with) = (&derived.name, &derived.with);
        let derived = maker("derived", &derived.ty, with.span());
        quote!(#derived(#name, __params, #with)?)
    });
    let networks: Vec<_> = model
        .networks
        .iter()
        .map(|network| generated(&network.ident))
        .collect();
    let network_locals: Vec<_> = networks.iter().map(local).collect();
    let build_networks = match &model.build {
        Some(path) => build_all(path, &model.networks, &network_locals),
        None => build_each(&model.networks, &network_locals),
    };
    // A parameter that only the parameters struct is asked for is not an unused field.
    quote! {
        fn build(__params: &#params_ident, __networks: &__atlas::NetworkBuilder) -> __atlas::Result<Self> {
            #(let #derived_locals = #derived_values;)*
            #build_networks
            let __model = Self {
                #(#params: ::core::clone::Clone::clone(&__params.#params),)*
                #(#derived: #derived_locals,)*
                #(#networks: #network_locals,)*
            };
            let _ = (#(&__model.#params,)*);
            ::core::result::Result::Ok(__model)
        }
    }
}

fn build_all(path: &ExprPath, networks: &[Network], locals: &[Ident]) -> TokenStream {
    let types = networks.iter().map(|network| &network.ty);
    let (pattern, ty) = match locals {
        [local] => (quote!(#local), quote!(#(#types)*)),
        _ => (quote!((#(#locals),*)), quote!((#(#types),*))),
    };
    let build = maker("build_all", &ty, path.span());
    quote!(let #pattern = #build(__networks, __params, #path)?;)
}

fn build_each(networks: &[Network], locals: &[Ident]) -> TokenStream {
    let built = networks.iter().map(|network| {
        let (name, ty) = (&network.name, &network.ty);
        match &network.with {
            Some(path) => {
                let build = maker("build", ty, path.span());
                quote!(#build(__networks, #name, __params, #path)?)
            }
            // In a block of its own, so that `NoNew` is known to nothing else.
            None => {
                let build = maker("build_by_new", ty, ty.span());
                let new = quote_spanned!(blamed_on(ty.span())=> <#ty>::new);
                quote!({ use __atlas::NoNew as _; #build(__networks, #name, __params, #new)? })
            }
        }
    });
    quote!(#(let #locals = #built;)*)
}

/// The function that makes a `ty` by a function of the user's. What it asks of that function is
/// blamed on the path of it.
fn maker(name: &str, ty: &impl ToTokens, path: Span) -> TokenStream {
    let name = format_ident!("{name}");
    quote_spanned!(blamed_on(path)=> __atlas::#name::<#ty, _, _>)
}

fn local(ident: &Ident) -> Ident {
    format_ident!("__field_{}", unraw(ident))
}

fn migrations(model: &Model) -> Option<TokenStream> {
    if model.migrations.is_empty() {
        return None;
    }
    let steps = (1_u32..)
        .zip(&model.migrations)
        .map(|(from, path)| quote!(__atlas::Migration::new(#from, #path)));
    Some(quote! {
        fn migrations() -> ::std::vec::Vec<__atlas::Migration> {
            ::std::vec::Vec::from([#(#steps),*])
        }
    })
}

fn buffers(model: &Model) -> Option<TokenStream> {
    let named = model
        .networks
        .iter()
        .filter(|network| !network.buffers.is_empty());
    let named = named.map(|network| {
        let (name, buffers) = (&network.name, &network.buffers);
        quote!((#name, &[#(#buffers),*]))
    });
    let named: Vec<_> = named.collect();
    (!named.is_empty()).then(|| {
        quote! {
            const BUFFERS: &'static [(&'static str, &'static [&'static str])] = &[#(#named),*];
        }
    })
}

fn behaviour(model: &Model) -> Option<TokenStream> {
    let functions = match &model.behaviour {
        Behaviour::Unchecked => return None,
        Behaviour::Golden(at) => quote_spanned!(*at=> __atlas::by_golden::<Self>()),
        Behaviour::Function(path) => {
            let outputs = quote_spanned! {blamed_on(path.span())=>
                __atlas::golden_outputs(#path(__model))
            };
            quote! {
                __atlas::GoldenFns::new(
                    |_| ::core::result::Result::Ok(::core::default::Default::default()),
                    |__model, _| #outputs,
                )
            }
        }
        Behaviour::Network => by_network(model)?,
    };
    Some(quote! {
        fn golden() -> ::core::option::Option<__atlas::GoldenFns<Self>> {
            ::core::option::Option::Some(#functions)
        }
    })
}

/// The check of the one network on an input of its shape.
fn by_network(model: &Model) -> Option<TokenStream> {
    let network = model.networks.first()?;
    let (name, ident, shape) = (&network.name, generated(&network.ident), &network.golden);
    let (model_ident, mentioned) = (generated(&model.ident), mentioned(model, shape));
    let outputs = quote_spanned! {blamed_on(network.ty.span())=>
        __atlas::golden_forward(&__model.#ident, #name, &__shape, __inputs)
    };
    Some(quote! {{
        fn __shape(__model: &__atlas::Model<#model_ident>) -> ::std::vec::Vec<usize> {
            #mentioned
            ::std::vec::Vec::from([#(#shape),*])
        }
        __atlas::GoldenFns::new(
            |__model| __atlas::golden_input(__model, &__shape(__model)),
            |__model, __inputs| {
                let __shape = __shape(__model);
                #outputs
            },
        )
    }})
}

/// The parameters and derived fields that the expressions name, as locals.
fn mentioned(model: &Model, expressions: &[Expr]) -> TokenStream {
    fn collect(tokens: TokenStream, idents: &mut Vec<Ident>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if !idents.contains(&ident) => idents.push(ident),
                TokenTree::Group(group) => collect(group.stream(), idents),
                _ => {}
            }
        }
    }
    let mut idents = Vec::new();
    for expression in expressions {
        collect(expression.to_token_stream(), &mut idents);
    }
    let params = &model.params.params;
    let locals = idents.iter().filter_map(|ident| {
        let field = generated(ident);
        if params.iter().any(|param| param.ident == *ident) {
            Some(quote!(let #ident = ::core::clone::Clone::clone(&__model.#field);))
        } else if model.derived.iter().any(|derived| derived.ident == *ident) {
            Some(quote!(let #ident = &__model.#field;))
        } else {
            None
        }
    });
    quote!(#(#locals)*)
}
