//! What the tests use to find out whether a program is concurrent. An exercise
//! does not need it.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a program may take. None needs a tenth of it.
const LIMIT: Duration = Duration::from_secs(10);

/// How long those who have come to a [`Meeting`] wait for the others.
const MEETING_LIMIT: Duration = Duration::from_secs(3);

/// Runs `program` in a thread of its own, so that a test ends even if the
/// program does not, and returns what it returns.
///
/// # Panics
///
/// Panics with `message` if the program takes too long, and as the program
/// does if that panics.
pub fn within<T: Send + 'static>(message: &str, program: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    let thread = thread::spawn(move || {
        let result = program();
        // The test has gone if it has lost patience.
        let _ = sender.send(());
        result
    });
    if receiver.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
        panic!("{message}");
    }
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs `program` in a tokio runtime of one thread whose clock stands still
/// while a task is at work, and jumps to the next time that a task sleeps for
/// when all of them wait. So a second of `sleep` takes no time, and time is
/// exact.
///
/// # Panics
///
/// Panics with `message` if the program does not end, and as the program does
/// if that panics.
pub fn paused<F>(message: &'static str, program: impl FnOnce() -> F + Send + 'static) -> F::Output
where
    F: Future,
    F::Output: Send + 'static,
{
    within(message, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let day = Duration::from_secs(24 * 60 * 60);
            let result = tokio::time::timeout(day, program()).await;
            result.unwrap_or_else(|_| panic!("{message}"))
        })
    })
}

/// A place where a number of threads have to be at the same time: none goes
/// on before all have come.
///
/// Unlike `std::sync::Barrier` it does not wait for ever for those who do not
/// come: then it lets all go and remembers it.
pub struct Meeting {
    expected: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    present: usize,
    failed: bool,
}

impl Meeting {
    /// Makes a meeting of `expected` threads.
    pub const fn of(expected: usize) -> Self {
        let state = State {
            present: 0,
            failed: false,
        };
        Self {
            expected,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Comes to the meeting and waits for the others.
    pub fn wait(&self) {
        let mut state = self.state();
        state.present += 1;
        self.changed.notify_all();
        let waiting = |state: &mut State| state.present < self.expected && !state.failed;
        let (mut state, result) = self
            .changed
            .wait_timeout_while(state, MEETING_LIMIT, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() {
            state.failed = true;
            self.changed.notify_all();
        }
    }

    /// Panics with `message` unless all have met.
    pub fn assert(&self, message: &str) {
        let state = self.state();
        assert!(state.present >= self.expected && !state.failed, "{message}");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
