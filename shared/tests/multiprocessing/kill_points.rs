//! SIGKILL at every point of a `put`, of a `get` and of a lock that is held.
//!
//! From outside, with ptrace, so that no fault point has to be compiled in: a
//! child is stepped through the call instruction by instruction, and each one
//! that changes shared memory is noted. What others can see of the child is
//! the same between two such changes; so, for each of them, a fresh child is
//! stepped to the instruction before it, and another one past it, and killed.
//!
//! Some are looked at before that, while they are stopped: a call that promises
//! not to wait, or not for long, keeps that promise beside a process that is
//! stopped at any of these points.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::TryLockError;
use std::time::{Duration, Instant};
use std::{fs, iter, thread};

use nix::sys::ptrace;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::multiprocessing::{Array, Builder, Connection, Error, Process, Queue, Value, pipe};

use crate::harness::{is_asleep, is_waiting, memfds, skip, within};

pub const TESTS: &[(&str, fn())] = named![
    a_put,
    a_put_that_wakes_a_consumer,
    a_put_that_waited_for_room,
    a_get,
    a_get_that_wakes_a_producer,
    a_get_that_waited_for_an_item,
    a_lock,
    a_lock_that_another_waits_for,
    an_array_lock,
    a_put_that_makes_the_queue_larger,
    nobody_waits_for_a_stopped_put,
    nobody_waits_for_a_stopped_put_that_waited_for_room,
    nobody_waits_for_a_stopped_put_that_makes_the_queue_larger,
    nobody_waits_for_a_stopped_get,
    nobody_waits_for_a_stopped_get_that_waited_for_an_item,
    nobody_waits_for_a_stopped_holder_of_a_lock,
];

const LONG: Duration = Duration::from_secs(20);

/// A child about to make one call, and what is to hold after its death.
struct Scene {
    /// Waits at the gate, stops, makes the call, and stops again.
    actor: Process<()>,
    gate: Connection<(), ()>,
    /// Lets the call go on if it waits.
    unblock: Box<dyn FnOnce()>,
    /// Is called while the actor is stopped.
    look: Box<dyn FnOnce()>,
    /// Is told whether the call had returned.
    check: Box<dyn FnOnce(bool)>,
}

fn stop() {
    raise(Signal::SIGSTOP).unwrap();
}

/// How one instruction went.
enum Step {
    More,
    Returned,
    /// It waits, and has been unblocked before.
    Asleep,
}

/// A child stopped by its tracer.
struct Traced {
    pid: Pid,
    unblock: Option<Box<dyn FnOnce()>>,
}

impl Traced {
    /// Stops the actor just before its call.
    fn new(scene: &mut Scene) -> Result<Self, nix::Error> {
        let pid = Pid::from_raw(scene.actor.pid() as i32);
        // It has done all that comes before its target.
        scene.gate.recv().unwrap();
        ptrace::attach(pid)?;
        let stopped = WaitStatus::Stopped(pid, Signal::SIGSTOP);
        assert_eq!(waitpid(pid, None)?, stopped);
        ptrace::cont(pid, None)?;
        scene.gate.send(()).unwrap();
        assert_eq!(waitpid(pid, None)?, stopped);
        let unblock = std::mem::replace(&mut scene.unblock, Box::new(|| ()));
        Ok(Traced {
            pid,
            unblock: Some(unblock),
        })
    }

    fn step(&mut self) -> Step {
        ptrace::step(self.pid, None).unwrap();
        let mut since = Instant::now();
        loop {
            for _ in 0..1000 {
                match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)).unwrap() {
                    WaitStatus::StillAlive => thread::yield_now(),
                    WaitStatus::Stopped(_, Signal::SIGTRAP) => return Step::More,
                    WaitStatus::Stopped(_, Signal::SIGSTOP) => return Step::Returned,
                    other => panic!("{other:?}"),
                }
            }
            if !is_asleep(self.pid.as_raw() as u32) {
                since = Instant::now();
            } else if let Some(unblock) = self.unblock.take() {
                unblock();
            } else if since.elapsed() > Duration::from_millis(100) {
                return Step::Asleep;
            }
        }
    }
}

/// Or it would be waited for in vain.
impl Drop for Traced {
    fn drop(&mut self) {
        kill(self.pid, Signal::SIGKILL).unwrap();
    }
}

/// What all processes see.
fn shared(files: &[fs::File]) -> Vec<u8> {
    const START: usize = 64 * 1024;
    let mut memory = vec![0; files.len() * START];
    for (file, start) in files.iter().zip(memory.chunks_mut(START)) {
        file.read_at(start, 0).unwrap();
    }
    memory
}

/// Makes a scene, kills its actor after so many instructions, and checks.
fn kill_after(instructions: usize, scene: fn() -> Scene) {
    let mut scene = scene();
    let mut traced = Traced::new(&mut scene).unwrap();
    let mut last = Step::More;
    for _ in 0..instructions {
        last = traced.step();
        if !matches!(last, Step::More) {
            break;
        }
    }
    (scene.look)();
    drop(traced);
    let death = scene.actor.join();
    assert!(
        matches!(death, Err(Error::Killed { signal: 9, .. })),
        "{death:?}"
    );
    (scene.check)(matches!(last, Step::Returned));
}

/// Kills at every point of the scene's call.
fn every_point_of(scene: fn() -> Scene) {
    let mut recorded = scene();
    let mut traced = match Traced::new(&mut recorded) {
        Ok(traced) => traced,
        Err(errno) => {
            skip(&format!("no tracing is permitted: {errno}"));
            return recorded.actor.kill().unwrap();
        }
    };
    let files = memfds();
    let mut points = BTreeSet::from([0]);
    let mut before = shared(&files);
    let mut last = Step::More;
    for step in 1.. {
        last = traced.step();
        if !matches!(last, Step::More) {
            points.insert(step);
            break;
        }
        let now = shared(&files);
        if now != before {
            points.extend([step - 1, step]);
            before = now;
        }
    }
    assert!(
        points.len() > 4,
        "only {points:?}: is this the memory that it uses?"
    );
    drop(traced);
    assert!(recorded.actor.join().is_err());
    (recorded.check)(matches!(last, Step::Returned));
    eprintln!(
        "{} points in {} instructions",
        points.len(),
        points.last().unwrap()
    );
    drop(files);
    for point in points {
        eprintln!("killed after {point} instructions");
        kill_after(point, scene);
    }
}

/// Whole or not at all: each part tells the others.
type Item = (u64, String, u64);

fn item(n: u64) -> Item {
    (n, n.to_string().repeat(20), !n)
}

fn puts(queue: &Queue<Item>, gate: Connection<(), ()>) {
    gate.send(()).unwrap();
    gate.recv().unwrap();
    let item = item(3);
    stop();
    queue.put(item).unwrap();
    stop();
}

fn gets(queue: &Queue<Item>, gate: Connection<(), ()>) {
    gate.send(()).unwrap();
    gate.recv().unwrap();
    stop();
    let got = queue.get();
    stop();
    drop(got.unwrap());
}

/// A queue that holds the items `1..=len`.
fn queue_of(len: u64, maxsize: usize) -> Queue<Item> {
    let queue = Queue::with_maxsize(maxsize).unwrap();
    (1..=len).for_each(|n| queue.put(item(n)).unwrap());
    queue
}

/// Another process that has gone to sleep in the same queue.
fn asleep<R>(neighbour: Builder<R>) -> Process<R> {
    // If the test fails it is not to be waited for.
    let neighbour = neighbour.daemon(true).start().unwrap();
    within(LONG, || is_waiting(neighbour.pid())).unwrap();
    neighbour
}

fn consumer(queue: &Queue<Item>) -> Process<Item> {
    asleep(Process::new(
        |queue: &Queue<Item>| queue.get().unwrap(),
        (queue,),
    ))
}

fn producer(queue: &Queue<Item>, n: u64) -> Process<()> {
    let put = |queue: &Queue<Item>, n| queue.put(item(n)).unwrap();
    asleep(Process::new(put, (queue, n)))
}

fn ends<R: Serialize + DeserializeOwned>(neighbour: Process<R>) -> R {
    assert!(
        neighbour.join_timeout(LONG).unwrap(),
        "a neighbour sleeps on"
    );
    neighbour.join().unwrap()
}

/// The numbers of the items left, taken by another process; then the queue
/// goes on as ever.
fn drain(queue: &Queue<Item>) -> Vec<u64> {
    fn takes_all(queue: &Queue<Item>) -> Vec<Item> {
        let len = queue.len();
        assert_eq!(queue.is_empty(), len == 0);
        let all: Vec<_> = iter::from_fn(|| match queue.try_get() {
            Err(Error::Empty) => None,
            item => Some(item.unwrap()),
        })
        .collect();
        assert_eq!(all.len(), len);
        assert_eq!((queue.is_empty(), queue.len()), (true, 0));
        all
    }
    let all = Process::new(takes_all, (queue,)).start().unwrap();
    let all: Vec<_> = ends(all)
        .into_iter()
        .map(|got| {
            assert_eq!(got, item(got.0), "not whole");
            got.0
        })
        .collect();
    for n in 100..103 {
        queue.put_timeout(item(n), LONG).unwrap();
        assert_eq!(
            (queue.len(), queue.get_timeout(LONG).unwrap()),
            (1, item(n))
        );
    }
    all
}

fn a_put() {
    every_point_of(|| {
        let queue = queue_of(2, 0);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(puts, (&queue, there)).start().unwrap();
        let check = move |returned: bool| {
            let left = drain(&queue);
            assert!(left == [1, 2, 3] || left == [1, 2] && !returned, "{left:?}");
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

fn a_put_that_wakes_a_consumer() {
    every_point_of(|| {
        let queue = queue_of(0, 0);
        let sleeper = consumer(&queue);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(puts, (&queue, there)).start().unwrap();
        let check = move |returned: bool| {
            // It is there, or it has been taken, or it never came.
            let came =
                !queue.is_empty() || returned || sleeper.join_timeout(Duration::ZERO).unwrap();
            if !came {
                queue.put_timeout(item(4), LONG).unwrap();
            }
            let got = ends(sleeper);
            assert_eq!(got, item(got.0), "not whole");
            let mut all = vec![got.0];
            all.extend(drain(&queue));
            match came {
                true => assert_eq!(all, [3]),
                // The other end may have moved before we looked.
                false => assert!(all == [4] || all == [3, 4], "{all:?}"),
            }
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

fn a_put_that_waited_for_room() {
    every_point_of(|| {
        let queue = queue_of(2, 2);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(puts, (&queue, there)).start().unwrap();
        let sleeper = producer(&queue, 4);
        let unblock = {
            let queue = queue.clone();
            move || assert_eq!(queue.get_timeout(LONG).unwrap(), item(1))
        };
        let check = move |returned: bool| {
            // Its neighbour gets in, whether it is alive or not.
            let mut got = vec![];
            while !got.contains(&4) {
                got.push(queue.get_timeout(LONG).unwrap().0);
            }
            ends(sleeper);
            got.extend(drain(&queue));
            got.retain(|&n| n > 2);
            got.sort_unstable();
            assert!(got == [3, 4] || got == [4] && !returned, "{got:?}");
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(unblock),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

fn a_get() {
    every_point_of(|| {
        let queue = queue_of(3, 0);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(gets, (&queue, there)).start().unwrap();
        let check = move |returned: bool| {
            let left = drain(&queue);
            assert!(left == [2, 3] || left == [1, 2, 3] && !returned, "{left:?}");
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

fn a_get_that_wakes_a_producer() {
    every_point_of(|| {
        let queue = queue_of(2, 2);
        let sleeper = producer(&queue, 3);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(gets, (&queue, there)).start().unwrap();
        let check = move |returned: bool| {
            let mut left = vec![];
            if queue.is_full() && !returned && !sleeper.join_timeout(Duration::ZERO).unwrap() {
                left.push(queue.get_timeout(LONG).unwrap().0);
            }
            ends(sleeper);
            left.extend(drain(&queue));
            assert!(left == [2, 3] || left == [1, 2, 3] && !returned, "{left:?}");
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

fn a_get_that_waited_for_an_item() {
    every_point_of(|| {
        let queue = queue_of(0, 0);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(gets, (&queue, there)).start().unwrap();
        let sleeper = consumer(&queue);
        let unblock = {
            let queue = queue.clone();
            move || queue.put_timeout(item(1), LONG).unwrap()
        };
        let check = move |returned: bool| {
            // Whoever was woken, an item that is still there is got.
            if returned || queue.is_empty() && !sleeper.join_timeout(Duration::ZERO).unwrap() {
                queue.put_timeout(item(2), LONG).unwrap();
            }
            let mut got = vec![ends(sleeper).0];
            got.extend(drain(&queue));
            assert!([&[1][..], &[2], &[1, 2]].contains(&&got[..]), "{got:?}");
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(unblock),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

fn counts(value: &Value<u64>, gate: Connection<(), ()>) {
    gate.send(()).unwrap();
    gate.recv().unwrap();
    stop();
    *value.lock().unwrap() += 1;
    stop();
}

/// The next lock comes at once, and the count is the old or the new one.
fn is_well(value: &Value<u64>, returned: bool) {
    let start = Instant::now();
    let (poisoned, count) = match value.lock() {
        Ok(guard) => (false, *guard),
        Err(poison) => (true, *poison.into_inner()),
    };
    let time = start.elapsed();
    assert!(time < Duration::from_millis(100), "it took {time:?}");
    assert!(count == 1 || count == 0 && !returned, "{count}");
    assert!(!(poisoned && returned));
    assert_eq!(value.get(), count);
    value.set(7);
    value.clear_poison();
    let again = Process::new(|value: &Value<u64>| *value.lock().unwrap(), (value,));
    assert_eq!(ends(again.start().unwrap()), 7);
}

fn a_lock() {
    every_point_of(|| {
        let value = Value::new(0u64).unwrap();
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(counts, (&value, there)).start().unwrap();
        let check = move |returned| is_well(&value, returned);
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

fn a_lock_that_another_waits_for() {
    every_point_of(|| {
        let value = Value::new(0u64).unwrap();
        let (gate, there) = pipe().unwrap();
        let waits = |value: &Value<u64>, there: Connection<(), ()>| {
            there.send(()).unwrap();
            // In and out, again and again, beside the one that is killed.
            while !there.poll(Duration::ZERO).unwrap() {
                drop(value.lock());
            }
        };
        let (other, its) = pipe::<(), ()>().unwrap();
        let waiter = Process::new(waits, (&value, its))
            .daemon(true)
            .start()
            .unwrap();
        other.recv().unwrap();
        let actor = Process::new(counts, (&value, there)).start().unwrap();
        let check = move |returned: bool| {
            drop(other);
            ends(waiter);
            is_well(&value, returned);
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

fn an_array_lock() {
    every_point_of(|| {
        let array = Array::new([0u8; 4]).unwrap();
        let (gate, there) = pipe().unwrap();
        let fills = |array: &Array<u8>, gate: Connection<(), ()>| {
            gate.send(()).unwrap();
            gate.recv().unwrap();
            stop();
            for (x, n) in array.lock().unwrap().iter_mut().zip(1..) {
                *x = n;
            }
            stop();
        };
        let actor = Process::new(fills, (&array, there)).start().unwrap();
        let check = move |returned: bool| {
            let (poisoned, now) = match array.lock() {
                Ok(guard) => (false, guard.to_vec()),
                Err(poison) => (true, poison.into_inner().to_vec()),
            };
            // Half filled is what poison is there to tell.
            let whole = now == [1, 2, 3, 4];
            assert!(
                whole || poisoned || now == [0; 4],
                "{now:?} and not poisoned"
            );
            assert!(!returned || whole && !poisoned);
            assert_eq!(array.to_vec(), now);
            array.set(0, 9);
            assert_eq!(array.get(0), 9);
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

/// A queue whose ring is as small as it can be, and full but for less than an
/// item; what is in it wraps around the end. Its items are `first..=last`.
fn full_ring() -> (Queue<Item>, u64, u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 4096, hard).unwrap();
    let queue = Queue::new().unwrap();
    let mut last = 0;
    while queue.put(item(last + 1)).is_ok() {
        last += 1;
    }
    assert!(last > 5, "{last} items");
    for n in [1, 2] {
        assert_eq!(queue.get().unwrap(), item(n));
    }
    while queue.put(item(last + 1)).is_ok() {
        last += 1;
    }
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
    (queue, 3, last)
}

fn puts_another(queue: &Queue<Item>, n: u64, gate: Connection<(), ()>) {
    gate.send(()).unwrap();
    gate.recv().unwrap();
    let item = item(n);
    stop();
    queue.put(item).unwrap();
    stop();
}

fn a_put_that_makes_the_queue_larger() {
    every_point_of(|| {
        let (queue, first, last) = full_ring();
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(puts_another, (&queue, last + 1, there));
        let actor = actor.start().unwrap();
        let check = move |returned: bool| {
            let left = drain(&queue);
            assert!(
                left.iter().copied().eq(first..=last + 1)
                    || left.iter().copied().eq(first..=last) && !returned,
                "{left:?}"
            );
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    });
}

/// Far more than each of the calls waits that promise not to wait for long.
const AT_MOST: Duration = Duration::from_millis(1_500);

/// Makes a call that promises not to wait for long.
fn soon<R>(what: &str, call: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = call();
    let time = start.elapsed();
    assert!(time < AT_MOST, "{what} took {time:?}");
    result
}

/// What was put and got beside a stopped process.
#[derive(Default)]
struct Beside {
    put: Vec<u64>,
    got: Vec<u64>,
}

const BRIEF: Duration = Duration::from_millis(20);

/// All that may not wait for long for a process that is stopped.
fn look_at(queue: &Queue<Item>, beside: &Rc<RefCell<Beside>>) -> Box<dyn FnOnce()> {
    let (queue, beside) = (queue.clone(), beside.clone());
    Box::new(move || {
        let mut beside = beside.borrow_mut();
        let before = soon("len", || queue.len());
        let counts = || {
            let empty = soon("is_empty", || queue.is_empty());
            let text = soon("Debug", || format!("{queue:?}"));
            let len = soon("len", || queue.len());
            soon("is_full", || queue.is_full());
            assert_eq!(empty, len == 0);
            assert!(text.contains(&len.to_string()), "{text}");
            len
        };
        assert_eq!(counts(), before);
        match soon("try_put", || queue.try_put(item(50))) {
            Ok(()) => beside.put.push(50),
            Err(error) => assert!(matches!(error, Error::Full), "{error:?}"),
        }
        match soon("put_timeout", || queue.put_timeout(item(51), BRIEF)) {
            Ok(()) => beside.put.push(51),
            Err(error) => assert!(matches!(error, Error::Timeout), "{error:?}"),
        }
        match soon("try_get", || queue.try_get()) {
            Ok(got) => beside.got.push(got.0),
            Err(error) => assert!(matches!(error, Error::Empty), "{error:?}"),
        }
        match soon("get_timeout", || queue.get_timeout(BRIEF)) {
            Ok(got) => beside.got.push(got.0),
            Err(error) => assert!(matches!(error, Error::Timeout), "{error:?}"),
        }
        // Exact, beside a stopped process too.
        assert_eq!(
            counts() + beside.got.len(),
            before + beside.put.len(),
            "{:?} put, {:?} got",
            beside.put,
            beside.got
        );
        soon("drop", || drop(queue));
    })
}

/// What is left, and what was got before, is what there was and what was put.
/// The actor's own item may be missing, and an item that it got.
fn account(queue: &Queue<Item>, beside: &Beside, before: Vec<u64>, optional: &[u64]) {
    let mut all = beside.got.clone();
    all.extend(drain(queue));
    let mut expected = before;
    expected.extend(&beside.put);
    all.sort_unstable();
    expected.sort_unstable();
    let without = |list: &[u64]| {
        let mut list = list.to_vec();
        list.retain(|n| !optional.contains(n));
        list
    };
    assert_eq!(without(&all), without(&expected));
    assert!(all.is_sorted_by(|a, b| a < b), "doubled: {all:?}");
}

fn nobody_waits_for_a_stopped_put() {
    every_point_of(|| {
        let queue = queue_of(2, 0);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(puts, (&queue, there)).start().unwrap();
        let beside = Rc::<RefCell<Beside>>::default();
        let look = look_at(&queue, &beside);
        let check = move |_| account(&queue, &beside.borrow(), vec![1, 2], &[3]);
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look,
            check: Box::new(check),
        }
    });
}

fn nobody_waits_for_a_stopped_put_that_waited_for_room() {
    every_point_of(|| {
        let queue = queue_of(2, 2);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(puts, (&queue, there)).start().unwrap();
        let unblock = {
            let queue = queue.clone();
            move || assert_eq!(queue.get_timeout(LONG).unwrap(), item(1))
        };
        let beside = Rc::<RefCell<Beside>>::default();
        let look = look_at(&queue, &beside);
        let check = move |_| account(&queue, &beside.borrow(), vec![2], &[1, 3]);
        Scene {
            actor,
            gate,
            unblock: Box::new(unblock),
            look,
            check: Box::new(check),
        }
    });
}

fn nobody_waits_for_a_stopped_put_that_makes_the_queue_larger() {
    every_point_of(|| {
        let (queue, first, last) = full_ring();
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(puts_another, (&queue, last + 1, there));
        let actor = actor.start().unwrap();
        let beside = Rc::<RefCell<Beside>>::default();
        let look = look_at(&queue, &beside);
        let check = move |_| {
            let before = (first..=last).collect();
            account(&queue, &beside.borrow(), before, &[last + 1]);
        };
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look,
            check: Box::new(check),
        }
    });
}

fn nobody_waits_for_a_stopped_get() {
    every_point_of(|| {
        let queue = queue_of(3, 5);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(gets, (&queue, there)).start().unwrap();
        let beside = Rc::<RefCell<Beside>>::default();
        let look = look_at(&queue, &beside);
        let check = move |_| account(&queue, &beside.borrow(), vec![1, 2, 3], &[1]);
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look,
            check: Box::new(check),
        }
    });
}

fn nobody_waits_for_a_stopped_get_that_waited_for_an_item() {
    every_point_of(|| {
        let queue = queue_of(0, 0);
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(gets, (&queue, there)).start().unwrap();
        let unblock = {
            let queue = queue.clone();
            move || queue.put_timeout(item(1), LONG).unwrap()
        };
        let beside = Rc::<RefCell<Beside>>::default();
        let look = look_at(&queue, &beside);
        let check = move |_| account(&queue, &beside.borrow(), vec![], &[1]);
        Scene {
            actor,
            gate,
            unblock: Box::new(unblock),
            look,
            check: Box::new(check),
        }
    });
}

fn nobody_waits_for_a_stopped_holder_of_a_lock() {
    every_point_of(|| {
        let value = Value::new(0u64).unwrap();
        let (gate, there) = pipe().unwrap();
        let actor = Process::new(counts, (&value, there)).start().unwrap();
        let look = {
            let value = value.clone();
            move || {
                let text = soon("Debug", || format!("{value:?}"));
                let free = match soon("try_lock", || value.try_lock()) {
                    Ok(guard) => Some(*guard),
                    Err(TryLockError::WouldBlock) => None,
                    Err(TryLockError::Poisoned(_)) => panic!("nobody has died"),
                };
                let timed = match soon("lock_timeout", || value.lock_timeout(BRIEF)) {
                    Ok(guard) => Some(*guard),
                    Err(TryLockError::WouldBlock) => None,
                    Err(TryLockError::Poisoned(_)) => panic!("nobody has died"),
                };
                assert_eq!(free, timed);
                match free {
                    Some(count) => assert_eq!(text, format!("Value({count})")),
                    None => assert_eq!(text, "Value(<locked>)"),
                }
                soon("is_poisoned", || assert!(!value.is_poisoned()));
                soon("clear_poison", || value.clear_poison());
                soon("drop", || drop(value));
            }
        };
        let check = move |returned| is_well(&value, returned);
        Scene {
            actor,
            gate,
            unblock: Box::new(|| ()),
            look: Box::new(look),
            check: Box::new(check),
        }
    });
}
