//! Python's `threading`, as far as std lacks it: a class to derive from.
//!
//! The rest is in std: `threading.Thread(target=f, args=(x,)).start()` is
//! [`thread::spawn`]`(move || f(x))`, and a `Lock` is the
//! [`Mutex`](std::sync::Mutex) around what it guards.
//!
//! Where Python waits at its end for the threads that nobody has joined, Rust
//! ends them with `main`: every thread is a daemon there, unless it is joined.

#![forbid(unsafe_code)]

use std::thread::{self, JoinHandle};

/// `threading.Thread` as a base class, with `run` to override.
///
/// ```python
/// class MyThread(threading.Thread):
///     def __init__(self, num):
///         super().__init__()
///         self.num = num
///
///     def run(self):
///         print(f"Thread {self.num} is running")
///
/// t = MyThread(0)
/// t.start()
/// t.join()
/// ```
///
/// A class becomes a type, its base class a trait:
///
/// ```
/// use shared::threading::Thread;
///
/// struct MyThread {
///     num: i32,
/// }
///
/// impl Thread for MyThread {
///     fn run(self) {
///         println!("Thread {} is running", self.num);
///     }
/// }
///
/// let t = MyThread { num: 0 }.start();
/// t.join().unwrap();
/// ```
///
/// A trait has no fields of its own, so there is no `super().__init__()` that
/// could be forgotten: a `MyThread` exists only with all that it has. Forgotten
/// in Python, `start` raises `RuntimeError: thread.__init__() not called`; and
/// `threading.Thread(self)` in its place makes another thread, with `self` as
/// its `group`, which raises `AssertionError`.
///
/// Nor can it be started twice, which in Python raises `RuntimeError`:
/// [`start`](Self::start) takes the object for good.
///
/// ```compile_fail,E0382
/// # struct MyThread { num: i32 }
/// # impl shared::threading::Thread for MyThread { fn run(self) {} }
/// # use shared::threading::Thread;
/// let t = MyThread { num: 0 };
/// t.start();
/// t.start();
/// ```
pub trait Thread: Sized + Send + 'static {
    /// `run`: what the thread does.
    fn run(self);

    /// `start`: runs it in a thread of its own.
    ///
    /// `join` and `is_alive` are [`JoinHandle::join`] and
    /// [`!is_finished`](JoinHandle::is_finished). A panic in `run` reaches
    /// `join`, where Python prints the exception and goes on.
    ///
    /// Keep the handle and join it: Python waits at its end for each thread
    /// that is not a daemon, but when Rust's `main` returns, the process ends
    /// and the thread with it, wherever it is.
    ///
    /// # Panics
    /// When the system grants no thread, as [`thread::spawn`] does.
    ///
    /// Costs what [`thread::spawn`] costs.
    fn start(self) -> JoinHandle<()> {
        thread::spawn(|| self.run())
    }
}
