//! The promises of `shared::threading::Thread`.

#![cfg(feature = "threading")]
#![forbid(unsafe_code)]

mod watchdog;

use shared::threading::Thread;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, ThreadId};
use watchdog::watchdog;

struct Reporter {
    sender: Sender<ThreadId>,
}

impl Thread for Reporter {
    fn run(self) {
        self.sender.send(thread::current().id()).unwrap();
    }
}

struct Waiter {
    receiver: Receiver<()>,
}

impl Thread for Waiter {
    fn run(self) {
        self.receiver.recv().expect("nobody will send");
    }
}

#[test]
fn start_calls_run_once_in_a_thread_of_its_own() {
    let _watchdog = watchdog();
    let (sender, receiver) = channel();
    let t = Reporter { sender }.start();
    let id = t.thread().id();
    t.join().unwrap();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [id]);
    assert_ne!(id, thread::current().id());
}

#[test]
fn join_waits_for_run() {
    let _watchdog = watchdog();
    let (sender, receiver) = channel();
    let t = Waiter { receiver }.start();
    assert!(!t.is_finished());
    sender.send(()).unwrap();
    t.join().unwrap();
    assert!(
        sender.send(()).is_err(),
        "the fields of the thread are dropped"
    );
}

#[test]
fn a_panic_in_run_reaches_join() {
    let _watchdog = watchdog();
    let (_, receiver) = channel();
    let panic = Waiter { receiver }.start().join().unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("nobody will send"), "{message}");
}

#[test]
fn threads_run_at_the_same_time() {
    let _watchdog = watchdog();
    let (senders, threads): (Vec<_>, Vec<_>) = (0..5)
        .map(|_| {
            let (sender, receiver) = channel();
            (sender, Waiter { receiver }.start())
        })
        .unzip();
    // In the reverse of the order in which they were started.
    for (sender, t) in senders.iter().zip(threads).rev() {
        sender.send(()).unwrap();
        t.join().unwrap();
    }
}
