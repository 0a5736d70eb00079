//! One model, many threads, and a process that saves over its folder.

use super::*;

/// What a server asks of a model.
trait Service: AnyModel + Predictor<Input = Row, Output = f32> + Send + Sync {}
impl<M: AnyModel + Predictor<Input = Row, Output = f32> + Send + Sync> Service for M {}

impl Predictor for Normed {
    type Input = Row;
    type Output = f32;

    fn predict(&self, inputs: &[Row]) -> Result<Vec<f32>> {
        let rows = Tensor::from_slice(inputs.as_flattened(), (inputs.len(), 3), &Device::Cpu)?;
        Ok(self.net.forward_t(&rows, false)?.squeeze(1)?.to_vec1()?)
    }
}

#[test]
fn models_and_trait_objects_are_shared_among_threads() {
    fn is_shared<T: ?Sized + Send + Sync>() {}
    is_shared::<Model<Normed>>();
    is_shared::<dyn Service>();
    is_shared::<Registry<dyn Service>>();
    is_shared::<Snapshot>();
}

/// The folder that a child process saves to.
const SAVES_TO: &str = "ATLAS_TEST_SAVES_TO";

#[test]
fn one_loaded_model_serves_threads_while_another_process_saves_over_its_folder() {
    // This test is the other process, too.
    if let Some(path) = std::env::var_os(SAVES_TO) {
        let model: Model<Normed> = create();
        for count in 0..60 {
            let rows = Tensor::new(&[count as f32], &Device::Cpu).unwrap();
            model.buffers()[2].1.set(&rows).unwrap();
            model.save(&path).unwrap();
        }
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("normed");
    create::<Normed>().save(&path).unwrap();
    let mut registry = Registry::<dyn Service>::new();
    registry.register::<Normed>(|model| Box::new(model));
    let model: Arc<dyn Service> = registry.load(&path).unwrap().into();
    let expected = model.predict(&rows()).unwrap();

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "threads::one_loaded_model_serves_threads_while_another_process_saves_over_its_folder",
        ])
        .env(SAVES_TO, &path)
        .spawn()
        .unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let servers = (0..4).map(|_| {
        let (model, is_over, expected) = (model.clone(), is_over.clone(), expected.clone());
        thread::spawn(move || {
            let mut served = 0;
            while served == 0 || !is_over.load(Ordering::Relaxed) {
                assert_eq!(model.predict(&rows()).unwrap(), expected);
                served += 1;
            }
            served
        })
    });
    let servers: Vec<_> = servers.collect();
    // A load gives the old model or a new one, whole.
    let mut loads = 0;
    let status = loop {
        registry.load(&path).unwrap();
        loads += 1;
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    is_over.store(true, Ordering::Relaxed);
    assert!(status.success());
    assert!(servers.into_iter().all(|server| server.join().unwrap() > 0) && loads > 0);
    assert_eq!(values(&*registry.load(&path).unwrap(), "rows"), [59.0]);
}
