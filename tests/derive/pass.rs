//! What the derives accept, and what it then does.

#[path = "pass/attributes.rs"]
mod attributes;
#[path = "pass/behaviour.rs"]
mod behaviour;
#[path = "pass/choices.rs"]
mod choices;
#[path = "pass/constraints.rs"]
mod constraints;
#[path = "pass/defaults.rs"]
mod defaults;
#[path = "pass/groups.rs"]
mod groups;
#[path = "pass/lints.rs"]
pub mod lints;
#[path = "pass/model.rs"]
mod model;
#[path = "pass/names.rs"]
mod names;
#[path = "pass/reexport.rs"]
mod reexport;
#[path = "pass/shadowed.rs"]
mod shadowed;
#[path = "pass/visibility.rs"]
mod visibility;
