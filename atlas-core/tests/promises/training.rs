//! One seed gives one model, and every variable gets its gradient.

use super::*;

macro_rules! dropping {
    ($model:ident, $params:ident, $net:ident, $forward:expr) => {
        #[derive(AtlasModel)]
        struct $model {
            #[network(with = $net, golden = [2, 3])]
            net: Linear,
        }

        fn $net(_: &$params, vb: VarBuilder) -> CandleResult<Linear> {
            linear(3, 1, vb)
        }

        impl Objective for $model {
            type Input = Row;

            fn loss(&self, batch: &[&Row], step: &mut Step) -> Result<Loss> {
                let forward: fn(&Tensor, &mut Step) -> CandleResult<Tensor> = $forward;
                squares(batch, |inputs| self.net.forward(&forward(inputs, step)?))
            }
        }
    };
}

dropping!(Unseeded, UnseededParams, unseeded, |inputs, step| {
    Dropout::new(0.5).forward_t(inputs, step.is_training())
});
dropping!(Seeded, SeededParams, seeded, |inputs, step| {
    Ok(step.dropout(inputs, 0.5)?)
});

#[test]
fn a_model_that_draws_from_elsewhere_is_not_trained() {
    let mut model: Model<Unseeded> = create();
    let digest = model.digest().unwrap();
    let error = train(&mut model, &rows(), &run(1), &mut ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("two evaluations of the first step, from one seed"),
        "{error}"
    );
    assert!(
        error.contains("`candle_nn::Dropout`") && error.contains("`Step::dropout`"),
        "{error}"
    );
    assert_eq!(model.digest().unwrap(), digest);
}

#[test]
fn one_seed_gives_one_model_with_dropout() {
    let trained = |seed| {
        let mut model: Model<Seeded> = create();
        let run = Run { seed, ..run(3) };
        train(&mut model, &rows(), &run, &mut ()).unwrap();
        model.digest().unwrap()
    };
    assert_eq!(trained(1), trained(1));
    assert_ne!(trained(1), trained(2));
}

#[test]
fn dropout_of_an_evaluation_is_the_input() {
    let inputs = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
    let kept = Step::evaluation().dropout(&inputs, 0.5).unwrap();
    assert_eq!(
        kept.to_vec2::<f32>().unwrap(),
        inputs.to_vec2::<f32>().unwrap()
    );
    let mut step = Step::training(1);
    let masks = [0, 1].map(|_| {
        let wide = Tensor::ones(64, DType::F32, &Device::Cpu).unwrap();
        step.dropout(&wide, 0.5).unwrap().to_vec1::<f32>().unwrap()
    });
    assert_ne!(masks[0], masks[1]);
    assert!(Step::training(1).dropout(&inputs, 1.0).is_err());
}

macro_rules! layered {
    ($model:ident, $params:ident, $build:ident, $norm:ty, $new:expr) => {
        #[derive(AtlasModel)]
        #[atlas(unchecked)]
        struct $model {
            #[network(with = $build)]
            net: ($norm, Linear),
        }

        fn $build(_: &$params, vb: VarBuilder) -> CandleResult<($norm, Linear)> {
            Ok(($new(vb.pp("norm"))?, linear(3, 1, vb.pp("out"))?))
        }

        impl Objective for $model {
            type Input = Row;

            fn loss(&self, batch: &[&Row], _: &mut Step) -> Result<Loss> {
                squares(batch, |inputs| {
                    self.net.1.forward(&self.net.0.forward(inputs)?)
                })
            }
        }
    };
}

layered!(Cut, CutParams, cut, candle_nn::LayerNorm, |vb| layer_norm(
    3, 1e-5, vb
));
layered!(Whole, WholeParams, whole, LayerNorm, |vb| LayerNorm::new(
    3, 1e-5, vb
));

#[test]
fn a_layer_that_cuts_gradients_is_named_with_the_cure() {
    let mut model: Model<Cut> = create();
    let error = train(&mut model, &rows(), &run(1), &mut ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("2 of 4 variables received no gradient"),
        "{error}"
    );
    assert!(
        error.contains("net/norm may be a normalisation that cuts gradients"),
        "{error}"
    );
    assert!(error.contains("use `atlas_core::nn::LayerNorm`"), "{error}");
    let mut model: Model<Whole> = create();
    train(&mut model, &rows(), &run(1), &mut ()).unwrap();
}
