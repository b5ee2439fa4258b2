//! The works done with the crates that people would use in place of `shared`.

pub mod ipc_channel;
pub mod procspawn;
pub mod threadpool;
pub mod tokio_mpsc;
