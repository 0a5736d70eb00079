//! Visibility is kept: of the struct, and of each field.

pub mod inner {
    use atlas_core::prelude::*;
    use candle_nn::{Linear, VarBuilder, linear};

    /// Fields of every visibility.
    #[derive(AtlasModel)]
    #[atlas(unchecked)]
    pub struct Model {
        #[param(default = 1)]
        pub public: usize,
        #[param(default = 2)]
        pub(crate) in_crate: usize,
        #[param(default = 3)]
        pub(super) in_parent: usize,
        #[param(default = 4)]
        pub(in crate::visibility) in_path: usize,
        #[param(default = 5)]
        private: usize,
        #[network(with = net)]
        pub net: Linear,
    }

    fn net(params: &ModelParams, vb: VarBuilder) -> candle_core::Result<Linear> {
        linear(params.private, 1, vb)
    }

    /// Of the crate alone.
    #[derive(AtlasModel)]
    #[atlas(unchecked)]
    pub(crate) struct Narrow {
        #[network(with = narrow)]
        pub(super) net: Linear,
    }

    fn narrow(_: &NarrowParams, vb: VarBuilder) -> candle_core::Result<Linear> {
        linear(1, 1, vb)
    }
}

#[test]
fn fields_are_as_visible_as_they_were() {
    use atlas_core::prelude::*;
    let mut params = inner::ModelParams::default();
    (params.public, params.in_crate) = (9, 8);
    assert_eq!((params.in_parent, params.in_path), (3, 4));
    let model = inner::Model::create(params).unwrap();
    assert_eq!((model.public, model.net.weight().dim(1).unwrap()), (9, 5));
    let narrow = inner::Narrow::create(inner::NarrowParams {}).unwrap();
    assert_eq!(narrow.net.weight().dims(), [1, 1]);
}
