//! Guides: how to declare, train, save, load and serve a model. The tests run all code on these
//! pages.

#[doc = include_str!("../docs/declare.md")]
pub mod declare {}

#[doc = include_str!("../docs/own_loop.md")]
pub mod own_loop {}

#[cfg(feature = "train")]
#[doc = include_str!("../docs/train.md")]
pub mod train {}

#[doc = include_str!("../docs/behaviour.md")]
pub mod behaviour {}

#[doc = include_str!("../docs/migration.md")]
pub mod migration {}

#[doc = include_str!("../docs/serve.md")]
pub mod serve {}

#[doc = include_str!("../docs/existing.md")]
pub mod existing {}

#[doc = include_str!("../docs/weights.md")]
pub mod weights {}
