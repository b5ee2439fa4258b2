//! Two processes talk through a pipe. The parent sends a number; the child
//! computes the next one, half of it if it is even and three times it plus one
//! if it is odd, and sends that back with its process id. So they go on until
//! the number is 1.
//!
//! ```python
//! def compute(connection):
//!     while (n := connection.recv()) is not None:
//!         n = n // 2 if n % 2 == 0 else 3 * n + 1
//!         connection.send((n, os.getpid()))
//!
//! def chain(n):
//!     ours, theirs = Pipe()
//!     p = Process(target=compute, args=(theirs,))
//!     p.start()
//!     steps = []
//!     while n != 1:
//!         ours.send(n)
//!         n, pid = ours.recv()
//!         steps.append((n, pid))
//!     ours.send(None)
//!     p.join()
//!     return steps
//! ```
//!
//! Hint: `multiprocessing::pipe` makes both ends. An end that sends `S` and
//! receives `R` is a `Connection<S, R>`, and a process is given a reference to
//! it. One end sends an `Option<u64>`, the other a `(u64, u32)`. The tests call
//! `init`, so there is none here.

use shared::multiprocessing::Error;

/// Returns each number after `n` with the id of the process that computed it.
pub fn chain(n: u64) -> Result<Vec<(u64, u32)>, Error> {
    todo!()
}
