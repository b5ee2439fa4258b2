//! Python's `concurrent` package, which has only one module.

pub mod futures;
