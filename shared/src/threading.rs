//! Python's `threading`, as far as std lacks it: a class to derive from.
//!
//! The rest is in std: `threading.Thread(target=f, args=(x,)).start()` is
//! [`thread::spawn`]`(move || f(x))`, and a `Lock` is the
//! [`Mutex`](std::sync::Mutex) around what it guards.
//!
//! At its end, Python waits for the threads that were not joined. In Rust, they
//! end when `main` returns, as daemon threads do in Python.
//!
//! The module is built on std alone, and nothing else in this library is built
//! on it.

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
/// In Rust, the class is a type and the base class is a trait:
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
/// A trait has no fields, so there is no `super().__init__()` to forget. If it
/// is forgotten in Python, `start` raises `RuntimeError: thread.__init__() not
/// called`. `threading.Thread(self)` in its place makes another thread, with
/// `self` as its `group`, and raises `AssertionError`.
///
/// A thread cannot be started twice, which raises `RuntimeError` in Python,
/// because [`start`](Self::start) takes ownership of the object:
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
    /// `run`: the code that the thread runs.
    fn run(self);

    /// `start`: calls [`run`](Self::run) in a new thread, at the cost of a
    /// [`thread::spawn`].
    ///
    /// `join` and `is_alive` are [`JoinHandle::join`] and
    /// [`!is_finished`](JoinHandle::is_finished). If `run` panics, `join`
    /// returns the panic as an error; Python prints the exception and goes on.
    ///
    /// Keep the handle and join it, because the process ends when `main`
    /// returns, even in the middle of `run`.
    ///
    /// # Panics
    /// If the system refuses to start a thread, as [`thread::spawn`] does.
    fn start(self) -> JoinHandle<()> {
        thread::spawn(|| self.run())
    }
}
