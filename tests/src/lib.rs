//! The harness that runs an example, in Rust and in Python, against one
//! specification.
