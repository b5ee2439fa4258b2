//! The multiprocessing examples, proven.
