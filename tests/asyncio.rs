//! The asyncio examples, proven.
