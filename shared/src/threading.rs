//! Python's `threading`, as far as std lacks it: a class to derive from.
//!
//! `threading.Thread(target=f, args=(x,))` needs nothing from here; it is
//! [`std::thread::spawn`]`(move || f(x))`.

#![forbid(unsafe_code)]

use std::thread::{self, JoinHandle};

/// `threading.Thread` as a base class: implement [`run`](Self::run), call
/// [`start`](Self::start).
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
/// ```
/// use shared::threading::Thread;
///
/// struct MyThread {
///     num: u32,
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
pub trait Thread: Sized + Send + 'static {
    /// What the thread does: `run`.
    fn run(self);

    /// Starts the thread: `start`.
    fn start(self) -> JoinHandle<()> {
        thread::spawn(|| self.run())
    }
}
