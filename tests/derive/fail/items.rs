//! Items that are no model, group or choice.

use atlas_core::prelude::*;

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Generic<'a, T, const N: usize> {
    #[param]
    sizes: [usize; N],
    #[network]
    net: &'a T,
}

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Where
where
    u8: Copy,
{
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Tuple(usize, Net);

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Unit;

#[derive(AtlasModel)]
#[atlas(unchecked)]
enum Enum {
    A,
}

#[derive(AtlasModel)]
#[atlas(unchecked)]
union Union {
    a: u8,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct GenericGroup<T> {
    #[param]
    size: T,
}

#[derive(Params, Clone, Debug, PartialEq)]
enum EnumGroup {
    A,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct TupleGroup(usize);

#[derive(Choice, Clone, Debug, PartialEq)]
struct StructChoice {
    size: usize,
}

#[derive(Choice, Clone, Copy)]
union UnionChoice {
    a: u8,
}

#[derive(Choice, Clone, Debug, PartialEq)]
enum GenericChoice<T> {
    A(T),
}

struct Net;

fn main() {}
