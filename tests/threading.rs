//! The threading examples, proven.
