//! Event files of training for TensorBoard.

mod tensorboard;

pub use tensorboard::EventFile;
