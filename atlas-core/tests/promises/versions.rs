//! Behaviour checks of other versions and of strangers.

use super::*;

mod first {
    use super::*;

    /// The first version of a tagger.
    #[derive(AtlasModel)]
    #[atlas(name = "versions")]
    pub struct Tagger {
        #[param(default = 3)]
        pub width: usize,
        #[network(with = net, golden = [2, width])]
        pub net: Linear,
    }

    fn net(params: &TaggerParams, vb: VarBuilder) -> CandleResult<Linear> {
        linear(params.width, 2, vb)
    }
}

mod unchecked {
    use super::*;

    /// The second version: the network has another name, and nothing is checked.
    #[derive(AtlasModel)]
    #[atlas(name = "versions", version = 2, migrate(1 => from_first), unchecked)]
    pub struct Tagger {
        #[param(default = 3)]
        pub width: usize,
        #[network(with = net)]
        pub encoder: Linear,
    }

    fn net(params: &TaggerParams, vb: VarBuilder) -> CandleResult<Linear> {
        linear(params.width, 2, vb)
    }

    fn from_first(snapshot: &mut Snapshot) -> Result<()> {
        snapshot.rename_network("net", "encoder")
    }
}

mod renamed {
    use super::*;

    /// The second version: the network has another name, and is checked as before.
    #[derive(AtlasModel)]
    #[atlas(name = "versions", version = 2, migrate(1 => from_first))]
    pub struct Tagger {
        #[param(default = 3)]
        pub width: usize,
        #[network(with = net, golden = [2, width])]
        pub encoder: Linear,
    }

    fn net(params: &TaggerParams, vb: VarBuilder) -> CandleResult<Linear> {
        linear(params.width, 2, vb)
    }

    fn from_first(snapshot: &mut Snapshot) -> Result<()> {
        snapshot.rename_network("net", "encoder")
    }
}

#[test]
fn an_older_version_is_checked_under_the_new_name_of_its_network() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("first");
    let mut model: Model<first::Tagger> = create();
    model.set_frozen("net/bias", true).unwrap();
    model.save(&path).unwrap();
    let model = renamed::Tagger::load(&path).unwrap();
    assert_eq!(
        (model.width, model.encoder.weight().dims()),
        (3, &[2, 3][..])
    );
    assert_eq!(model.frozen(), ["encoder/bias"]);
    // A version that is not checked any more takes what an older one left.
    let model = unchecked::Tagger::load(&path).unwrap();
    assert_eq!(
        (model.width, model.encoder.weight().dims()),
        (3, &[2, 3][..])
    );

    let mut snapshot = Bundle::open(&path).unwrap().snapshot().unwrap();
    let outputs = &mut snapshot.golden.as_mut().unwrap().outputs;
    let output = outputs.get_mut("output").unwrap();
    *output = (&*output * 1.01).unwrap();
    let error = Model::<renamed::Tagger>::from_snapshot(snapshot, &LoadOptions::new());
    assert!(error.unwrap_err().is_behaviour());
}

#[test]
fn a_stored_input_of_another_shape_than_the_declared_one_is_not_run() {
    let mut snapshot = create::<first::Tagger>().snapshot().unwrap();
    let golden = snapshot.golden.as_mut().unwrap();
    let input = Tensor::zeros((100_000, 3), DType::F32, &Device::Cpu).unwrap();
    golden.inputs = GoldenInputs::default().with_tensor("input", input);
    let error = Model::<first::Tagger>::from_snapshot(snapshot, &LoadOptions::new()).unwrap_err();
    let expected = "the stored input has shape [100000, 3], and the model declares [2, 3]";
    assert!(error.to_string().contains(expected), "{error}");
}
