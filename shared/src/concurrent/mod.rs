//! Python's package `concurrent`, of which this crate has the module `futures`.

pub mod futures;
