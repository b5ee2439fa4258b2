//! What the tests use to find out whether a program is concurrent. An exercise
//! does not need it.

use std::collections::HashSet;
use std::future::Future;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::panic::resume_unwind;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use shared::multiprocessing::Error;

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

/// Returns what a program with processes returned.
///
/// # Panics
///
/// Panics with the error, if it is one, in words. `unwrap` would also print the
/// backtrace of a child, which hides them.
#[track_caller]
pub fn succeed<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
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

/// How often and how long [`interrupt`] interrupts at most.
const INTERRUPTIONS: u32 = 1000;
const INTERRUPTION_LIMIT: Duration = Duration::from_secs(3);

/// Calls `work` again and again, and interrupts it a thousand times, wherever it
/// is, to call `other` in another thread.
///
/// A lock that is released too early does harm only if another thread comes in
/// just then. So both threads run on one processor, which the kernel gives to
/// the other thread each time it has slept for a moment. A place where `work`
/// spends a tenth of its time is met once in ten times. On two processors each
/// thread would wait for the other at every lock, perhaps always at the same one.
///
/// Afterwards the calling thread stays on that processor.
///
/// # Panics
///
/// Panics as `work` and `other` do.
pub fn interrupt(work: impl Fn(), other: impl Fn() + Sync) {
    // The other thread inherits it.
    stay_on_one_processor();
    thread::scope(|scope| {
        let interrupter = scope.spawn(|| {
            let start = Instant::now();
            for _ in 0..INTERRUPTIONS {
                if start.elapsed() > INTERRUPTION_LIMIT {
                    break;
                }
                thread::sleep(Duration::from_micros(50));
                other();
            }
        });
        while !interrupter.is_finished() {
            work();
        }
        interrupter
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
    });
}

/// Lets this thread run only on the first processor on which it may.
fn stay_on_one_processor() {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).unwrap();
    let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu).unwrap());
    let mut one = CpuSet::new();
    one.set(first.unwrap()).unwrap();
    sched_setaffinity(this, &one).unwrap();
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
        assert!(self.have_met(), "{message}");
    }

    /// Returns whether all have met.
    pub fn have_met(&self) -> bool {
        let state = self.state();
        state.present >= self.expected && !state.failed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that has to be weighed, which takes long. A process can be given
/// it, or send it to another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parcel {
    weight: u32,
    scales: Option<String>,
    /// The process whose children die when they weigh it.
    parent: Option<u32>,
}

impl Parcel {
    /// A parcel that is quickly weighed.
    pub fn new(weight: u32) -> Self {
        Self {
            weight,
            scales: None,
            parent: None,
        }
    }

    /// A parcel that a child of this process does not survive.
    pub fn deadly() -> Self {
        Self {
            parent: Some(process::id()),
            ..Self::new(0)
        }
    }

    /// Returns its weight.
    pub fn weigh(&self) -> u32 {
        if self.parent.is_some_and(|parent| parent != process::id()) {
            // Unlike a panic, this prints nothing.
            process::exit(1);
        }
        if let Some(scales) = &self.scales {
            weigh_at(scales).expect("the scales are there as long as the test");
        }
        self.weight
    }
}

/// Waits until the scales at this address have as many parcels as they want.
fn weigh_at(scales: &str) -> io::Result<()> {
    let address = SocketAddr::from_abstract_name(scales)?;
    let mut stream = UnixStream::connect_addr(&address)?;
    stream.write_all(&process::id().to_ne_bytes())?;
    stream.read_exact(&mut [0])
}

/// Scales at which a number of parcels have to be at the same time, from
/// whatever process: a [`Meeting`] of processes.
pub struct Scales {
    address: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    meeting: Meeting,
    processes: Mutex<HashSet<u32>>,
    closed: AtomicBool,
}

impl Scales {
    /// Makes scales that weigh none of their parcels before `expected` of them
    /// are there.
    pub fn of(expected: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let address = format!("exercises-{}-{count}", process::id());
        let name = SocketAddr::from_abstract_name(&address).unwrap();
        let listener = UnixListener::bind_addr(&name).unwrap();
        let shared = Arc::new(Shared {
            meeting: Meeting::of(expected),
            processes: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let thread = thread::spawn({
            let shared = shared.clone();
            move || {
                thread::scope(|scope| {
                    for stream in listener.incoming() {
                        if shared.closed.load(Ordering::SeqCst) {
                            break;
                        }
                        // A process may have been killed.
                        scope.spawn(|| shared.weigh(stream?));
                    }
                });
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// A parcel that has to be weighed here.
    pub fn parcel(&self, weight: u32) -> Parcel {
        Parcel {
            scales: Some(self.address.clone()),
            ..Parcel::new(weight)
        }
    }

    /// Panics with `message` unless as many parcels as expected were here at
    /// the same time.
    pub fn assert(&self, message: &str) {
        self.shared.meeting.assert(message);
    }

    /// Returns whether as many parcels as expected were here at the same time.
    pub fn have_met(&self) -> bool {
        self.shared.meeting.have_met()
    }

    /// The processes that have weighed parcels here.
    pub fn processes(&self) -> HashSet<u32> {
        self.shared.processes.lock().unwrap().clone()
    }
}

impl Shared {
    fn weigh(&self, mut stream: UnixStream) -> io::Result<()> {
        let mut process = [0; 4];
        stream.read_exact(&mut process)?;
        let process = u32::from_ne_bytes(process);
        self.processes.lock().unwrap().insert(process);
        self.meeting.wait();
        stream.write_all(&[0])
    }
}

impl Drop for Scales {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // The thread sees it when somebody comes.
        let address = SocketAddr::from_abstract_name(&self.address).unwrap();
        drop(UnixStream::connect_addr(&address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
