//! A derive that fails leaves the code that uses its item without further errors.

use atlas_core::Result;
use atlas_core::prelude::*;

#[derive(AtlasModel)]
#[atlas(unchecked, params = Sizes)]
struct Mlp {
    #[param(default = 20, mni = 1)]
    input_size: usize,
    #[param]
    group: Group,
    #[param]
    cell: Cell,
    #[network]
    net: Net,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Group {
    #[param(defualt = 3)]
    size: usize,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq)]
enum Cell {
    Gru,
    #[choice(nam = "long")]
    Lstm,
}

/// The field without an attribute is a parameter by its looks.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Forgotten {
    size: usize,
    #[network]
    net: Net,
}

struct Net;

fn use_them() -> Result<()> {
    let group = Group::from_assignments([""; 0])?;
    group.validate()?;
    let sizes = Sizes { input_size: 5, group: Group::default(), cell: Cell::Gru };
    let others = Sizes { input_size: 5, ..Default::default() };
    println!("{sizes:?} {} {} {}", sizes == others, Sizes::schema().name(), Mlp::NAME);
    println!("{} {:?} {:?}", Cell::Lstm, "gru".parse::<Cell>()?, Cell::ITEMS);
    let model = Mlp::create(sizes.clone())?;
    model.save("mlp")?;
    let _ = (&model.net, model.input_size, serialize(&sizes));
    let model: Model<Mlp> = Mlp::load("mlp")?;
    let _ = (model.params().group.size, model.digest()?);
    Forgotten::create(ForgottenParams { size: 3 })?;
    Ok(())
}

fn main() {}

fn serialize(_: &impl atlas_core::__private::Serialize) {}
