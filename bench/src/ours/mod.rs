//! The works done with `shared`.

pub mod asyncio;
pub mod executor;
pub mod idle;
pub mod pipe;
pub mod pool;
pub mod process;
pub mod queue;
pub mod value;
