//! Kills a process with SIGKILL at every point of a `put`, of a `get`, and of a
//! lock that is held, and checks what the others find.
//!
//! The points are found from outside, with ptrace, so no fault point has to be
//! compiled in. A child is stepped through the call, instruction by instruction,
//! and every instruction that changes shared memory is recorded. Between two such
//! changes, what others can see of the child is the same. For each change a new
//! child is stepped to the instruction before it, and another one past it, and
//! then killed.
//!
//! The tests `no_call_waits_long_..` call methods of the queue or the value while the
//! child is stopped at such a point: a call that promises not to wait, or not for
//! long, has to keep that promise then.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::{OnceLock, TryLockError};
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

use crate::harness::{is_asleep, is_stopped, is_waiting, memfds, shared_memory, skip, within};

pub const TESTS: &[(&str, fn())] = named![
    a_killed_put_is_whole_or_absent,
    a_put_killed_as_it_wakes_a_consumer_strands_no_consumer,
    a_put_killed_after_waiting_for_room_strands_no_producer,
    a_killed_get_loses_its_own_item_at_most,
    a_get_killed_as_it_wakes_a_producer_strands_no_producer,
    a_get_killed_after_waiting_for_an_item_strands_no_consumer,
    a_killed_owner_leaves_its_lock,
    a_killed_owner_leaves_its_lock_to_one_that_waits,
    a_half_written_array_is_poisoned,
    a_put_killed_as_it_grows_the_queue_loses_no_item,
    a_get_killed_as_it_shrinks_the_queue_loses_no_other_item,
    a_put_killed_as_it_waits_for_room_in_a_large_ring_loses_no_item,
    a_get_killed_as_it_makes_room_in_a_large_ring_loses_no_other_item,
    no_call_waits_long_for_a_stopped_put,
    no_call_waits_long_for_a_stopped_put_that_waited_for_room,
    no_call_waits_long_for_a_stopped_put_that_grows_the_queue,
    no_call_waits_long_for_a_stopped_get,
    no_call_waits_long_for_a_stopped_get_that_waited_for_an_item,
    no_call_waits_long_for_a_stopped_holder_of_a_lock,
];

const LONG: Duration = Duration::from_secs(20);

/// A child that is about to make one call.
struct Actor {
    /// Waits at the gate, stops, makes the call, and stops again.
    process: Process<()>,
    gate: Connection<(), ()>,
}

impl Actor {
    /// Starts the process that `build` makes from the actor's end of the gate.
    fn start(build: impl FnOnce(Connection<(), ()>) -> Builder<()>) -> Self {
        let (gate, actors_end) = pipe().unwrap();
        Actor {
            process: build(actors_end).start().unwrap(),
            gate,
        }
    }
}

/// What the actor's process does with its `call`.
fn act<R>(gate: &Connection<(), ()>, call: impl FnOnce() -> R) -> R {
    gate.send(()).unwrap();
    gate.recv().unwrap();
    stop();
    let result = call();
    stop();
    result
}

fn stop() {
    raise(Signal::SIGSTOP).unwrap();
}

/// An actor, and what has to hold after its death.
struct Scene {
    actor: Actor,
    /// Ends the call's wait, if it waits.
    unblock: Box<dyn FnOnce()>,
    /// Is called while the actor is stopped at a point, before it is killed.
    look: Box<dyn FnOnce()>,
    /// Is called after the actor's death, with whether the call had returned.
    check: Box<dyn FnOnce(bool)>,
}

impl Scene {
    fn new(actor: Actor, check: impl FnOnce(bool) + 'static) -> Self {
        Scene {
            actor,
            unblock: Box::new(|| ()),
            look: Box::new(|| ()),
            check: Box::new(check),
        }
    }

    fn unblock(mut self, unblock: impl FnOnce() + 'static) -> Self {
        self.unblock = Box::new(unblock);
        self
    }

    fn look(mut self, look: impl FnOnce() + 'static) -> Self {
        self.look = Box::new(look);
        self
    }
}

/// What the actor does after one instruction.
enum Step {
    /// It goes on.
    More,
    /// The call has returned.
    Returned,
    /// It waits, although it has been unblocked before.
    Asleep,
}

/// An actor that this process traces.
struct Traced {
    pid: Pid,
    unblock: Option<Box<dyn FnOnce()>>,
}

impl Traced {
    /// Stops the actor just before its call.
    fn new(scene: &mut Scene) -> Result<Self, nix::Error> {
        let Actor { process, gate } = &scene.actor;
        let pid = Pid::from_raw(process.pid() as i32);
        // It has reached its target, after everything that `init` does.
        gate.recv().unwrap();
        ptrace::attach(pid)?;
        let stopped = WaitStatus::Stopped(pid, Signal::SIGSTOP);
        assert_eq!(waitpid(pid, None)?, stopped);
        ptrace::cont(pid, None)?;
        gate.send(()).unwrap();
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

/// A stopped actor would never end, and be waited for without end.
impl Drop for Traced {
    fn drop(&mut self) {
        kill(self.pid, Signal::SIGKILL).unwrap();
    }
}

/// The shared memory that all processes see.
fn contents(files: &[fs::File]) -> Vec<u8> {
    const START: usize = 64 * 1024;
    let mut memory = vec![0; files.len() * START];
    for (file, start) in files.iter().zip(memory.chunks_mut(START)) {
        file.read_at(start, 0).unwrap();
    }
    memory
}

/// Kills the actor of a new scene after so many instructions, and checks.
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
    let death = scene.actor.process.join();
    assert!(
        matches!(death, Err(Error::Killed { signal: 9, .. })),
        "{death:?}"
    );
    (scene.check)(matches!(last, Step::Returned));
}

/// Finds the points of the scene's call, and kills an actor at each of them.
fn kill_at_every_point(scene: fn() -> Scene) {
    let mut recorded = scene();
    let mut traced = match Traced::new(&mut recorded) {
        Ok(traced) => traced,
        Err(errno) => {
            skip(&format!("ptrace is not permitted: {errno}"));
            return recorded.actor.process.kill().unwrap();
        }
    };
    let files = memfds();
    let mut points = BTreeSet::from([0]);
    let mut before = contents(&files);
    let mut last = Step::More;
    for step in 1.. {
        last = traced.step();
        if !matches!(last, Step::More) {
            points.insert(step);
            break;
        }
        let now = contents(&files);
        if now != before {
            points.extend([step - 1, step]);
            before = now;
        }
    }
    assert!(
        points.len() > 4,
        "only {points:?}: does the call use this memory?"
    );
    drop(traced);
    assert!(recorded.actor.process.join().is_err());
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

/// An item of which a part is not taken for the whole, because each part
/// determines the others.
type Item = (u64, String, u64);

fn item(n: u64) -> Item {
    (n, n.to_string().repeat(20), !n)
}

fn putting(queue: &Queue<Item>, n: u64) -> Actor {
    fn puts(queue: &Queue<Item>, n: u64, gate: Connection<(), ()>) {
        let item = item(n);
        act(&gate, || queue.put(item).unwrap());
    }
    Actor::start(|gate| Process::new(puts, (queue, n, gate)))
}

fn getting(queue: &Queue<Item>) -> Actor {
    fn gets(queue: &Queue<Item>, gate: Connection<(), ()>) {
        drop(act(&gate, || queue.get()).unwrap());
    }
    Actor::start(|gate| Process::new(gets, (queue, gate)))
}

/// A queue that holds the items `1..=len`.
fn queue_of(len: u64, maxsize: usize) -> Queue<Item> {
    let queue = Queue::with_maxsize(maxsize).unwrap();
    (1..=len).for_each(|n| queue.put(item(n)).unwrap());
    queue
}

/// Starts another process, and waits until it sleeps in its call.
fn asleep<R>(neighbour: Builder<R>) -> Process<R> {
    // A daemon, which is killed and not waited for if the test fails.
    let neighbour = neighbour.daemon(true).start().unwrap();
    within(LONG, || is_waiting(neighbour.pid())).unwrap();
    neighbour
}

fn sleeping_consumer(queue: &Queue<Item>) -> Process<Item> {
    asleep(Process::new(
        |queue: &Queue<Item>| queue.get().unwrap(),
        (queue,),
    ))
}

fn sleeping_producer(queue: &Queue<Item>, n: u64) -> Process<()> {
    let put = |queue: &Queue<Item>, n| queue.put(item(n)).unwrap();
    asleep(Process::new(put, (queue, n)))
}

/// Ends the wait of a producer for room.
fn gets_the_first(queue: &Queue<Item>) -> impl FnOnce() + use<> {
    let queue = queue.clone();
    move || assert_eq!(queue.get_timeout(LONG).unwrap(), item(1))
}

/// Ends the wait of a consumer for an item.
fn puts_the_first(queue: &Queue<Item>) -> impl FnOnce() + use<> {
    let queue = queue.clone();
    move || queue.put_timeout(item(1), LONG).unwrap()
}

/// Waits for a neighbour's result.
fn ends<R: Serialize + DeserializeOwned>(neighbour: Process<R>) -> R {
    assert!(
        neighbour.join_timeout(LONG).unwrap(),
        "a neighbour still sleeps"
    );
    neighbour.join().unwrap()
}

/// Lets another process get all items, and returns their numbers. Then checks
/// that the queue still works.
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

fn a_killed_put_is_whole_or_absent() {
    kill_at_every_point(|| {
        let queue = queue_of(2, 0);
        let actor = putting(&queue, 3);
        let check = move |returned: bool| {
            let left = drain(&queue);
            assert!(left == [1, 2, 3] || left == [1, 2] && !returned, "{left:?}");
        };
        Scene::new(actor, check)
    });
}

fn a_put_killed_as_it_wakes_a_consumer_strands_no_consumer() {
    kill_at_every_point(|| {
        let queue = queue_of(0, 0);
        let sleeper = sleeping_consumer(&queue);
        let actor = putting(&queue, 3);
        let check = move |returned: bool| {
            // If the item was not put, another one ends the consumer's wait.
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
                // The consumer may have got the item after the look.
                false => assert!(all == [4] || all == [3, 4], "{all:?}"),
            }
        };
        Scene::new(actor, check)
    });
}

fn a_put_killed_after_waiting_for_room_strands_no_producer() {
    kill_at_every_point(|| {
        let queue = queue_of(2, 2);
        let actor = putting(&queue, 3);
        let sleeper = sleeping_producer(&queue, 4);
        let unblock = gets_the_first(&queue);
        let check = move |returned: bool| {
            // The other producer puts its item, whether the actor did or not.
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
        Scene::new(actor, check).unblock(unblock)
    });
}

fn a_killed_get_loses_its_own_item_at_most() {
    kill_at_every_point(|| {
        let queue = queue_of(3, 0);
        let actor = getting(&queue);
        let check = move |returned: bool| {
            let left = drain(&queue);
            assert!(left == [2, 3] || left == [1, 2, 3] && !returned, "{left:?}");
        };
        Scene::new(actor, check)
    });
}

fn a_get_killed_as_it_wakes_a_producer_strands_no_producer() {
    kill_at_every_point(|| {
        let queue = queue_of(2, 2);
        let sleeper = sleeping_producer(&queue, 3);
        let actor = getting(&queue);
        let check = move |returned: bool| {
            let mut left = vec![];
            if queue.is_full() && !returned && !sleeper.join_timeout(Duration::ZERO).unwrap() {
                left.push(queue.get_timeout(LONG).unwrap().0);
            }
            ends(sleeper);
            left.extend(drain(&queue));
            assert!(left == [2, 3] || left == [1, 2, 3] && !returned, "{left:?}");
        };
        Scene::new(actor, check)
    });
}

fn a_get_killed_after_waiting_for_an_item_strands_no_consumer() {
    kill_at_every_point(|| {
        let queue = queue_of(0, 0);
        let actor = getting(&queue);
        let sleeper = sleeping_consumer(&queue);
        let unblock = puts_the_first(&queue);
        let check = move |returned: bool| {
            // The consumer gets the item if the actor has not got it, though the
            // actor may have been the one that was woken.
            if returned || queue.is_empty() && !sleeper.join_timeout(Duration::ZERO).unwrap() {
                queue.put_timeout(item(2), LONG).unwrap();
            }
            let mut got = vec![ends(sleeper).0];
            got.extend(drain(&queue));
            assert!([&[1][..], &[2], &[1, 2]].contains(&&got[..]), "{got:?}");
        };
        Scene::new(actor, check).unblock(unblock)
    });
}

fn counting(value: &Value<u64>) -> Actor {
    fn counts(value: &Value<u64>, gate: Connection<(), ()>) {
        act(&gate, || *value.lock().unwrap() += 1);
    }
    Actor::start(|gate| Process::new(counts, (value, gate)))
}

/// Checks that the lock is free, and the count is the old or the new one.
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
    let other = Process::new(|value: &Value<u64>| *value.lock().unwrap(), (value,));
    assert_eq!(ends(other.start().unwrap()), 7);
}

fn a_killed_owner_leaves_its_lock() {
    kill_at_every_point(|| {
        let value = Value::new(0u64).unwrap();
        let actor = counting(&value);
        let check = move |returned| is_well(&value, returned);
        Scene::new(actor, check)
    });
}

fn a_killed_owner_leaves_its_lock_to_one_that_waits() {
    kill_at_every_point(|| {
        let value = Value::new(0u64).unwrap();
        let locks = |value: &Value<u64>, end: Connection<(), ()>| {
            end.send(()).unwrap();
            // Until the other end is closed.
            while !end.poll(Duration::ZERO).unwrap() {
                drop(value.lock());
            }
        };
        let (our_end, its_end) = pipe::<(), ()>().unwrap();
        let neighbour = Process::new(locks, (&value, its_end)).daemon(true);
        let neighbour = neighbour.start().unwrap();
        our_end.recv().unwrap();
        let actor = counting(&value);
        let check = move |returned: bool| {
            drop(our_end);
            ends(neighbour);
            is_well(&value, returned);
        };
        Scene::new(actor, check)
    });
}

fn a_half_written_array_is_poisoned() {
    kill_at_every_point(|| {
        let array = Array::new([0u8; 4]).unwrap();
        let fills = |array: &Array<u8>, gate: Connection<(), ()>| {
            act(&gate, || {
                for (x, n) in array.lock().unwrap().iter_mut().zip(1..) {
                    *x = n;
                }
            });
        };
        let actor = Actor::start(|gate| Process::new(fills, (&array, gate)));
        let check = move |returned: bool| {
            let (poisoned, now) = match array.lock() {
                Ok(guard) => (false, guard.to_vec()),
                Err(poison) => (true, poison.into_inner().to_vec()),
            };
            // An array that is partly written has to be poisoned.
            let is_whole = now == [1, 2, 3, 4];
            assert!(
                is_whole || poisoned || now == [0; 4],
                "{now:?} and not poisoned"
            );
            assert!(!returned || is_whole && !poisoned);
            assert_eq!(array.to_vec(), now);
            array.set(0, 9);
            assert_eq!(array.get(0), 9);
        };
        Scene::new(actor, check)
    });
}

/// A queue whose ring has the smallest size and no room for another item, and
/// whose items wrap around the end of the ring. They are `first..=last`.
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

fn a_put_killed_as_it_grows_the_queue_loses_no_item() {
    kill_at_every_point(|| {
        let (queue, first, last) = full_ring();
        let actor = putting(&queue, last + 1);
        let check = move |returned: bool| {
            let left = drain(&queue);
            assert!(
                left.iter().copied().eq(first..=last + 1)
                    || left.iter().copied().eq(first..=last) && !returned,
                "{left:?}"
            );
        };
        Scene::new(actor, check)
    });
}

/// A queue that the get of its first item makes smaller. Its items are
/// `first..=last`.
///
/// A large ring is made smaller when what is in it is little and all in the lower half.
/// Here the first items are at the end of the ring, and the others at its start.
fn ring_to_shrink() -> (Queue<Item>, u64, u64) {
    static FIRST: OnceLock<u64> = OnceLock::new();
    const CAPACITY: usize = 32 << 20;
    let filled = |last: u64| {
        let queue = Queue::new().unwrap();
        queue.put((0, "-".repeat(CAPACITY - 4096), 0)).unwrap();
        queue.get().unwrap();
        (1..=last).for_each(|n| queue.put(item(n)).unwrap());
        queue
    };
    let first = *FIRST.get_or_init(|| {
        let queue = filled(200);
        let used = shared_memory();
        let shrinks = |n: &u64| {
            assert_eq!(queue.get().unwrap(), item(*n));
            shared_memory() < used / 2
        };
        (1..=200).find(shrinks).expect("a get makes it smaller")
    });
    let last = first + 2;
    let queue = filled(last);
    (1..first).for_each(|n| assert_eq!(queue.get().unwrap(), item(n)));
    (queue, first, last)
}

fn a_get_killed_as_it_shrinks_the_queue_loses_no_other_item() {
    kill_at_every_point(|| {
        let (queue, first, last) = ring_to_shrink();
        let actor = getting(&queue);
        let check = move |returned: bool| {
            let left = drain(&queue);
            assert!(
                left.iter().copied().eq(first + 1..=last)
                    || left.iter().copied().eq(first..=last) && !returned,
                "{left:?}"
            );
        };
        Scene::new(actor, check)
    });
}

/// The capacity of [`full_large_ring`], so large that a `put` waits for 64 ms before
/// it makes the ring larger.
const LARGE: usize = 64 << 20;

/// A queue with room for no other item, whose next `put` waits until a quarter of its
/// capacity is free. That is so after the get of two items, a large one and a small
/// one. Two more follow. The first byte of each item is its number, from 1 to 4.
fn full_large_ring() -> Queue<Vec<u8>> {
    const HEADER: usize = 8;
    let small = 2 * HEADER;
    let (first, third) = (LARGE / 4 - HEADER, LARGE * 3 / 4 - small - HEADER);
    let queue = Queue::<Vec<u8>>::new().unwrap();
    for (n, frame) in [(0, small), (1, first), (2, small), (3, third)] {
        queue.put(vec![n; frame - HEADER]).unwrap();
    }
    assert_eq!(queue.get().unwrap()[0], 0);
    queue.put(small_item(4)).unwrap();
    queue
}

fn small_item(n: u8) -> Vec<u8> {
    vec![n; 8]
}

fn put_small_item(queue: &Queue<Vec<u8>>, n: u8) {
    queue.put(small_item(n)).unwrap();
}

/// Gets an item, and checks its number.
fn expect_item(queue: &Queue<Vec<u8>>, n: u8) {
    assert_eq!(queue.get_timeout(LONG).unwrap()[0], n);
}

/// The numbers of the items that are left.
fn numbers_left(queue: &Queue<Vec<u8>>) -> Vec<u8> {
    iter::from_fn(|| queue.try_get().ok().map(|item| item[0])).collect()
}

fn a_put_killed_as_it_waits_for_room_in_a_large_ring_loses_no_item() {
    fn puts(queue: &Queue<Vec<u8>>, gate: Connection<(), ()>) {
        let item = small_item(5);
        act(&gate, || queue.put(item).unwrap());
    }
    kill_at_every_point(|| {
        let queue = full_large_ring();
        let actor = Actor::start(|gate| Process::new(puts, (&queue, gate)));
        let unblock = {
            let queue = queue.clone();
            move || [1, 2].iter().for_each(|n| expect_item(&queue, *n))
        };
        let check = move |returned: bool| {
            // Another producer does not depend on the one that has died.
            ends(Process::new(put_small_item, (&queue, 6)).start().unwrap());
            let mut left = numbers_left(&queue);
            left.retain(|&n| n > 2);
            assert!(
                left == [3, 4, 5, 6] || left == [3, 4, 6] && !returned,
                "{left:?}"
            );
        };
        Scene::new(actor, check).unblock(unblock)
    });
}

fn a_get_killed_as_it_makes_room_in_a_large_ring_loses_no_other_item() {
    fn gets(queue: &Queue<Vec<u8>>, gate: Connection<(), ()>) {
        act(&gate, || expect_item(queue, 2));
    }
    /// A ring for whose room a producer waits. It is stopped, because otherwise it
    /// would wait no longer than the actor takes to be traced.
    fn ring_with_a_waiting_producer() -> (Queue<Vec<u8>>, Process<()>) {
        loop {
            let queue = full_large_ring();
            let producer = Process::new(put_small_item, (&queue, 5)).start().unwrap();
            let pid = Pid::from_raw(producer.pid() as i32);
            while queue.len() == 4 && !is_waiting(producer.pid()) {}
            kill(pid, Signal::SIGSTOP).unwrap();
            within(LONG, || is_stopped(producer.pid())).unwrap();
            // If it had waited too long, it has made the ring larger.
            if queue.len() == 4 {
                return (queue, producer);
            }
            kill(pid, Signal::SIGCONT).unwrap();
            ends(producer);
        }
    }
    kill_at_every_point(|| {
        let (queue, producer) = ring_with_a_waiting_producer();
        expect_item(&queue, 1);
        let actor = Actor::start(|gate| Process::new(gets, (&queue, gate)));
        let check = move |returned: bool| {
            kill(Pid::from_raw(producer.pid() as i32), Signal::SIGCONT).unwrap();
            ends(producer);
            let left = numbers_left(&queue);
            assert!(
                left == [3, 4, 5] || left == [2, 3, 4, 5] && !returned,
                "{left:?}"
            );
        };
        Scene::new(actor, check)
    });
}

/// The limit for a call that does not wait for long: far more than it needs.
const AT_MOST: Duration = Duration::from_millis(1_500);

/// Makes a call that does not wait for long.
fn soon<R>(what: &str, call: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = call();
    let time = start.elapsed();
    assert!(time < AT_MOST, "{what} took {time:?}");
    result
}

/// The items that were put and got while the actor was stopped.
#[derive(Default)]
struct Beside {
    put: Vec<u64>,
    got: Vec<u64>,
}

const BRIEF: Duration = Duration::from_millis(20);

/// A scene in which every method of the queue is called while the actor is
/// stopped. There are the items `before`, of which the actor may get the
/// `actors`, and the actor may put those of the `actors` that are not there.
fn beside_a_stopped(queue: Queue<Item>, actor: Actor, before: Vec<u64>, actors: Vec<u64>) -> Scene {
    let beside = Rc::<RefCell<Beside>>::default();
    let look = {
        let (queue, beside) = (queue.clone(), beside.clone());
        move || call_all_methods(queue, &mut beside.borrow_mut())
    };
    let check = move |_| account(&queue, &beside.borrow(), before, &actors);
    Scene::new(actor, check).look(look)
}

/// Calls every method that must not wait for long for a stopped process.
fn call_all_methods(queue: Queue<Item>, beside: &mut Beside) {
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
    // The count is exact although a process is stopped in a call.
    assert_eq!(
        counts() + beside.got.len(),
        before + beside.put.len(),
        "{:?} put, {:?} got",
        beside.put,
        beside.got
    );
    soon("drop", || drop(queue));
}

/// Checks that the items left and the items got are those that there were
/// `before` and those that were put, but for `actors`, which may be missing.
fn account(queue: &Queue<Item>, beside: &Beside, before: Vec<u64>, actors: &[u64]) {
    let mut all = beside.got.clone();
    all.extend(drain(queue));
    let mut expected = before;
    expected.extend(&beside.put);
    all.sort_unstable();
    expected.sort_unstable();
    let without = |list: &[u64]| {
        let mut list = list.to_vec();
        list.retain(|n| !actors.contains(n));
        list
    };
    assert_eq!(without(&all), without(&expected));
    assert!(
        all.is_sorted_by(|a, b| a < b),
        "an item came twice: {all:?}"
    );
}

fn no_call_waits_long_for_a_stopped_put() {
    kill_at_every_point(|| {
        let queue = queue_of(2, 0);
        let actor = putting(&queue, 3);
        beside_a_stopped(queue, actor, vec![1, 2], vec![3])
    });
}

fn no_call_waits_long_for_a_stopped_put_that_waited_for_room() {
    kill_at_every_point(|| {
        let queue = queue_of(2, 2);
        let actor = putting(&queue, 3);
        let unblock = gets_the_first(&queue);
        // Item 1 is the one that is got to make room.
        beside_a_stopped(queue, actor, vec![2], vec![1, 3]).unblock(unblock)
    });
}

fn no_call_waits_long_for_a_stopped_put_that_grows_the_queue() {
    kill_at_every_point(|| {
        let (queue, first, last) = full_ring();
        let actor = putting(&queue, last + 1);
        beside_a_stopped(queue, actor, (first..=last).collect(), vec![last + 1])
    });
}

fn no_call_waits_long_for_a_stopped_get() {
    kill_at_every_point(|| {
        let queue = queue_of(3, 5);
        let actor = getting(&queue);
        beside_a_stopped(queue, actor, vec![1, 2, 3], vec![1])
    });
}

fn no_call_waits_long_for_a_stopped_get_that_waited_for_an_item() {
    kill_at_every_point(|| {
        let queue = queue_of(0, 0);
        let actor = getting(&queue);
        let unblock = puts_the_first(&queue);
        beside_a_stopped(queue, actor, vec![], vec![1]).unblock(unblock)
    });
}

fn no_call_waits_long_for_a_stopped_holder_of_a_lock() {
    kill_at_every_point(|| {
        let value = Value::new(0u64).unwrap();
        let actor = counting(&value);
        let look = {
            let value = value.clone();
            move || {
                let text = soon("Debug", || format!("{value:?}"));
                let free = match soon("try_lock", || value.try_lock()) {
                    Ok(guard) => Some(*guard),
                    Err(TryLockError::WouldBlock) => None,
                    Err(TryLockError::Poisoned(_)) => panic!("no owner has died"),
                };
                let timed = match soon("lock_timeout", || value.lock_timeout(BRIEF)) {
                    Ok(guard) => Some(*guard),
                    Err(TryLockError::WouldBlock) => None,
                    Err(TryLockError::Poisoned(_)) => panic!("no owner has died"),
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
        Scene::new(actor, check).look(look)
    });
}
