//! Python's `asyncio`: see queue.
