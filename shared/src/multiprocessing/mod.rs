//! Python's `multiprocessing`.
