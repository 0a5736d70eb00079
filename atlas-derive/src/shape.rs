//! What a field's type is by its tokens: a number, a text, an `Option`, a list of these.

use syn::{GenericArgument, PathArguments, PathSegment, Type, TypePath};

/// What the written type says about a parameter. Aliases hide it, so nothing may depend on it
/// that the compiler does not check again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Bool,
    Integer,
    F32,
    F64,
    Text,
    Option(Box<Shape>),
    List(Box<Shape>),
    Array(Box<Shape>),
    /// A choice, a group, or an alias of anything.
    Other,
}

impl Shape {
    /// The shape of what bounds apply to: what is inside options, lists and arrays.
    pub(crate) fn element(&self) -> &Self {
        match self {
            Self::Option(inner) | Self::List(inner) | Self::Array(inner) => inner.element(),
            scalar => scalar,
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Integer | Self::F32 | Self::F64)
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

/// The shape of a type; `Err` says why a parameter cannot have it.
pub(crate) fn shape_of(ty: &Type) -> Result<Shape, &'static str> {
    match ty {
        Type::Group(group) => shape_of(&group.elem),
        Type::Paren(paren) => shape_of(&paren.elem),
        Type::Array(array) => Ok(Shape::Array(Box::new(shape_of(&array.elem)?))),
        Type::Path(path) => named(path),
        Type::Macro(_) => Ok(Shape::Other),
        Type::Reference(_) | Type::Slice(_) => {
            Err("a parameter owns its value: `String`, `Vec<T>`")
        }
        Type::Tuple(_) => {
            Err("a parameter cannot be a tuple; use an array, or a struct that derives `Params`")
        }
        Type::Infer(_) => Err("the type of a parameter is written out"),
        _ => Err(
            "a parameter is a `bool`, a number, a `String`, an `Option`, `Vec` or array of those, a choice or a group",
        ),
    }
}

fn named(ty: &TypePath) -> Result<Shape, &'static str> {
    let segments = &ty.path.segments;
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return Ok(Shape::Other);
    };
    let is_std = ["std", "core", "alloc"]
        .iter()
        .any(|name| first.ident == name);
    if ty.qself.is_some() || (segments.len() > 1 && !is_std) {
        return Ok(Shape::Other);
    }
    Ok(match last.ident.to_string().as_str() {
        "bool" => Shape::Bool,
        "u8" | "u16" | "u32" | "u64" | "usize" => Shape::Integer,
        "i8" | "i16" | "i32" | "i64" | "isize" => Shape::Integer,
        "f32" => Shape::F32,
        "f64" => Shape::F64,
        "String" => Shape::Text,
        "char" => return Err("a parameter cannot be a `char`; use a `String` with `len = 1`"),
        "Option" => only_argument(last).map_or(Ok(Shape::Other), |inner| {
            Ok(Shape::Option(Box::new(shape_of(inner)?)))
        })?,
        "Vec" => only_argument(last).map_or(Ok(Shape::Other), |inner| {
            Ok(Shape::List(Box::new(shape_of(inner)?)))
        })?,
        _ => Shape::Other,
    })
}

fn only_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) if arguments.args.len() == 1 => Some(ty),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::{Shape, shape_of};

    #[test]
    fn the_standard_types_are_known_by_their_names_and_paths() {
        assert_eq!(shape_of(&parse_quote!(usize)), Ok(Shape::Integer));
        assert_eq!(
            shape_of(&parse_quote!(::std::string::String)),
            Ok(Shape::Text)
        );
        let list = Shape::Option(Box::new(Shape::List(Box::new(Shape::F32))));
        assert_eq!(
            shape_of(&parse_quote!(std::option::Option<Vec<f32>>)),
            Ok(list)
        );
    }

    #[test]
    fn another_modules_types_are_not_mistaken_for_them() {
        assert_eq!(shape_of(&parse_quote!(chem::String)), Ok(Shape::Other));
        assert_eq!(shape_of(&parse_quote!(Vec<u8, Global>)), Ok(Shape::Other));
        assert_eq!(
            shape_of(&parse_quote!(<Net as Sized>::usize)),
            Ok(Shape::Other)
        );
    }

    #[test]
    fn what_no_parameter_can_be_is_refused_at_every_depth() {
        assert!(shape_of(&parse_quote!(&'static str)).is_err());
        assert!(shape_of(&parse_quote!(Vec<(usize, usize)>)).is_err());
        assert!(shape_of(&parse_quote!(Option<char>)).is_err());
    }
}
