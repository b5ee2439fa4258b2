//! Python's `concurrent.futures`.
