//! `Value` and `Array`: their data, their locks, and poisoning.

use std::fmt::Debug;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use std::{env, fs, mem, panic, process, thread};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shared::multiprocessing::{
    Array, Connection, Error, Pool, Process, Queue, Value, bytemuck, pipe,
};

use crate::harness::{descriptors, is_waiting, shared_memory, within};

pub const TESTS: &[(&str, fn())] = named![
    a_value_is_read_and_written_by_every_process,
    an_array_is_read_and_written_by_every_process,
    get_and_lock_never_see_half_an_update,
    four_processes_count_exactly,
    killing_the_owner_of_a_value_poisons_it_at_once,
    killing_the_owner_of_an_array_poisons_it_at_once,
    a_waiter_gets_the_poisoned_lock_of_a_killed_owner_at_once,
    get_and_set_work_after_an_owner_is_killed,
    poison_stays_until_it_is_cleared,
    an_owner_that_panics_poisons_the_lock,
    an_owner_that_exits_poisons_the_lock,
    locking_twice_in_one_thread_panics,
    a_panic_of_a_second_lock_names_the_line_of_its_caller,
    a_leaked_guard_neither_crashes_nor_hangs,
    a_thread_that_ends_holding_a_lock_poisons_it,
    a_handle_may_be_dropped_while_another_ones_guard_exists,
    an_empty_array_works,
    an_array_of_one_item_works,
    items_of_any_plain_type_are_aligned,
    a_size_that_overflows_is_an_error,
    a_size_beyond_the_address_space_is_an_error,
    an_array_allocates_only_the_pages_that_are_written,
    an_index_out_of_range_panics_without_poisoning,
    a_handle_received_as_another_type_is_an_error_that_names_both,
    try_lock_and_debug_do_not_wait_for_a_held_lock,
    debug_prints_the_value_without_poisoning_or_hiding_poison,
    lock_timeout_returns_the_guard_or_a_timeout_or_the_poison,
    lock_timeout_on_a_lock_that_this_thread_holds_panics,
    a_forked_copy_of_a_handle_or_a_guard_may_be_dropped,
    an_array_of_a_thousand_counters_takes_one_descriptor,
    a_struct_with_the_derives_can_be_shared,
    a_core_dump_excludes_shared_memory,
    a_process_that_aborts_with_a_queue_leaves_a_small_core,
];

const LONG: Duration = Duration::from_secs(30);

fn a_value_is_read_and_written_by_every_process() {
    let value = Value::new(0i32).unwrap();
    let child = Process::new(
        |value: &Value<i32>| {
            let seen = value.get();
            value.set(5);
            seen
        },
        (&value,),
    );
    value.set(1);
    assert_eq!(child.start().unwrap().join().unwrap(), 1);
    *value.lock().unwrap() += 1;
    assert_eq!(value.get(), 6);
    assert_eq!(value.clone().get(), 6);
}

fn an_array_is_read_and_written_by_every_process() {
    let array = Array::new([1, 2, 3, 4, 5]).unwrap();
    fn add(by: i32, array: &Array<i32>) {
        for x in array.lock().unwrap().iter_mut() {
            *x += by;
        }
    }
    let children: Vec<_> = (0..5)
        .map(|by| Process::new(add, (by, &array)).start().unwrap())
        .collect();
    children.into_iter().for_each(|child| child.join().unwrap());
    assert_eq!(array.to_vec(), [11, 12, 13, 14, 15]);
    array.set(0, 7);
    assert_eq!((array.get(0), array.len(), array.is_empty()), (7, 5, false));
}

fn get_and_lock_never_see_half_an_update() {
    let value = Value::new((0u32.to_ne_bytes(), 0u32.to_ne_bytes()).0).unwrap();
    assert_eq!(value.get(), [0; 4]);
    let pair = Value::new([0u64; 2]).unwrap();
    let writer = |pair: &Value<[u64; 2]>| {
        for n in 0..20_000 {
            pair.set([n, n]);
        }
    };
    let writer = Process::new(writer, (&pair,)).start().unwrap();
    while writer.is_alive() {
        let [a, b] = pair.get();
        assert_eq!(a, b);
        let guard = pair.lock().unwrap();
        assert_eq!(guard[0], guard[1]);
    }
    writer.join().unwrap();
}

fn four_processes_count_exactly() {
    let (value, array) = (Value::new(0u64).unwrap(), Array::new([0u64; 3]).unwrap());
    fn count(value: &Value<u64>, array: &Array<u64>) {
        for _ in 0..100_000 {
            *value.lock().unwrap() += 1;
            array.lock().unwrap()[1] += 1;
        }
    }
    let counters: Vec<_> = (0..4)
        .map(|_| Process::new(count, (&value, &array)).start().unwrap())
        .collect();
    counters
        .into_iter()
        .for_each(|counter| counter.join().unwrap());
    assert_eq!(
        (value.get(), array.to_vec()),
        (400_000, vec![0, 400_000, 0])
    );
}

/// Kills a process that holds the lock; returns the time of its death.
fn kill_owner_of(value: &Value<u64>) -> Instant {
    let (here, there) = pipe::<(), ()>().unwrap();
    let owner = Process::new(holds, (value, there)).start().unwrap();
    here.recv().unwrap();
    let start = Instant::now();
    owner.kill().unwrap();
    assert!(matches!(owner.join(), Err(Error::Killed { signal: 9, .. })));
    start
}

fn holds(value: &Value<u64>, told: Connection<(), ()>) {
    let mut guard = value.lock().unwrap_or_else(PoisonError::into_inner);
    *guard += 1;
    told.send(()).unwrap();
    thread::park();
}

const AT_ONCE: Duration = Duration::from_millis(100);

fn killing_the_owner_of_a_value_poisons_it_at_once() {
    let value = Value::new(1u64).unwrap();
    assert!(!value.is_poisoned());
    let start = kill_owner_of(&value);
    let guard = value.lock().expect_err("poisoned").into_inner();
    assert!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
    assert_eq!(*guard, 2);
}

fn killing_the_owner_of_an_array_poisons_it_at_once() {
    let array = Array::new([1u8, 2, 3]).unwrap();
    let (here, there) = pipe::<(), ()>().unwrap();
    let holds = |array: &Array<u8>, told: Connection<(), ()>| {
        let mut guard = array.lock().unwrap();
        guard[1] = 7;
        told.send(()).unwrap();
        thread::park();
    };
    let owner = Process::new(holds, (&array, there)).start().unwrap();
    here.recv().unwrap();
    let start = Instant::now();
    owner.kill().unwrap();
    let mut guard = array.lock().expect_err("poisoned").into_inner();
    assert!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
    assert_eq!(*guard, [1, 7, 3]);
    guard[2] = 9;
    drop(guard);
    assert_eq!((array.get(1), array.to_vec()), (7, vec![1, 7, 9]));
    assert!(owner.join().is_err());
}

fn a_waiter_gets_the_poisoned_lock_of_a_killed_owner_at_once() {
    let value = Value::new(0u64).unwrap();
    let (here, there) = pipe::<(), ()>().unwrap();
    let owner = Process::new(holds, (&value, there)).start().unwrap();
    here.recv().unwrap();
    let (waiting, told) = pipe::<(), bool>().unwrap();
    let waits = |value: &Value<u64>, told: Connection<bool, ()>| {
        told.send(false).unwrap();
        told.send(value.lock().is_err()).unwrap();
    };
    let waiter = Process::new(waits, (&value, told)).start().unwrap();
    assert!(!waiting.recv().unwrap());
    within(LONG, || is_waiting(waiter.pid())).unwrap();
    let start = Instant::now();
    owner.kill().unwrap();
    assert!(waiting.recv().unwrap());
    assert!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
    waiter.join().unwrap();
    assert!(owner.join().is_err());
}

fn get_and_set_work_after_an_owner_is_killed() {
    let value = Value::new(1u64).unwrap();
    kill_owner_of(&value);
    assert_eq!(value.get(), 2);
    kill_owner_of(&value);
    value.set(9);
    assert_eq!(value.get(), 9);

    let array = Array::new([1u8, 2]).unwrap();
    let dies = |array: &Array<u8>| {
        let _guard = array.lock().unwrap();
        raise(Signal::SIGKILL).unwrap();
    };
    assert!(
        Process::new(dies, (&array,))
            .start()
            .unwrap()
            .join()
            .is_err()
    );
    assert_eq!(array.get(1), 2);
    array.set(1, 3);
    assert_eq!(array.to_vec(), [1, 3]);
}

fn poison_stays_until_it_is_cleared() {
    let value = Value::new(1u64).unwrap();
    kill_owner_of(&value);
    for _ in 0..2 {
        assert!(value.lock().is_err());
        assert!(value.is_poisoned());
    }
    let elsewhere = Process::new(|value: &Value<u64>| value.lock().is_err(), (&value,));
    assert!(elsewhere.start().unwrap().join().unwrap());
    value.clear_poison();
    assert!(!value.is_poisoned());
    *value.lock().unwrap() += 1;
    assert_eq!(value.get(), 3);
}

fn an_owner_that_panics_poisons_the_lock() {
    let value = Value::new(1u64).unwrap();
    let panics = |value: &Value<u64>| -> u8 {
        let mut guard = value.lock().unwrap();
        *guard = 2;
        panic!("with the lock held");
    };
    let error = Process::new(panics, (&value,))
        .start()
        .unwrap()
        .join()
        .unwrap_err();
    assert!(matches!(error, Error::Panicked { .. }), "{error:?}");
    assert_eq!(*value.lock().expect_err("poisoned").into_inner(), 2);
}

fn an_owner_that_exits_poisons_the_lock() {
    let value = Value::new(1u64).unwrap();
    let exits = |value: &Value<u64>| -> u8 {
        let _guard = value.lock().unwrap();
        process::exit(0);
    };
    let error = Process::new(exits, (&value,))
        .start()
        .unwrap()
        .join()
        .unwrap_err();
    assert!(matches!(error, Error::Exited { code: 0, .. }), "{error:?}");
    assert!(value.lock().is_err());
}

fn locking_twice_in_one_thread_panics() {
    let value = Value::new(1u64).unwrap();
    let guard = value.lock().unwrap();
    let again = panic::catch_unwind(panic::AssertUnwindSafe(|| drop(value.lock())));
    assert!(again.is_err());
    drop(guard);
    assert_eq!(value.get(), 1);
}

fn a_panic_of_a_second_lock_names_the_line_of_its_caller() {
    static LOCATION: Mutex<Option<(String, u32)>> = Mutex::new(None);
    panic::set_hook(Box::new(|info| {
        let location = info.location().unwrap();
        *LOCATION.lock().unwrap() = Some((location.file().into(), location.line()));
    }));
    macro_rules! assert_panics_here {
        ($call:expr) => {
            let call = panic::AssertUnwindSafe(|| _ = $call);
            assert!(panic::catch_unwind(call).is_err());
            let here = (file!().to_string(), line!());
            assert_eq!(LOCATION.lock().unwrap().take(), Some(here));
        };
    }
    let value = Value::new(1).unwrap();
    let guard = value.lock().unwrap();
    assert_panics_here!(value.lock());
    assert_panics_here!(value.lock_timeout(LONG));
    assert_panics_here!(value.get());
    assert_panics_here!(value.set(2));
    drop(guard);
    let array = Array::new([1, 2, 3]).unwrap();
    let _guard = array.lock().unwrap();
    assert_panics_here!(array.lock());
    assert_panics_here!(array.lock_timeout(LONG));
    assert_panics_here!(array.get(0));
    assert_panics_here!(array.set(0, 2));
    assert_panics_here!(array.to_vec());
    assert_panics_here!(array.get(3));
}

fn a_leaked_guard_neither_crashes_nor_hangs() {
    // In a process of its own, because the locks stay held until it ends.
    fn forgets(value: Value<u64>, other: &Value<u64>, array: Array<u64>) {
        mem::forget(value.lock().unwrap());
        mem::forget(array.lock().unwrap());
        drop((value, array));
        // These use the same list of held mutexes.
        for _ in 0..1000 {
            *other.lock().unwrap() += 1;
        }
        for n in 0..100 {
            let fresh = Value::new(n).unwrap();
            *fresh.lock().unwrap() += 1;
        }
    }
    let (value, other) = (Value::new(0).unwrap(), Value::new(0).unwrap());
    let array = Array::new([0; 4]).unwrap();
    Process::new(forgets, (value.clone(), &other, array.clone()))
        .start()
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(other.get(), 1000);
    // The process has ended while it held the locks.
    assert!(value.lock().is_err() && array.lock().is_err());
    assert_eq!((value.get(), array.get(0)), (0, 0));
    assert!(!other.is_poisoned());
}

fn a_thread_that_ends_holding_a_lock_poisons_it() {
    // In a process of its own, because the locks stay held until it ends.
    fn leaks(value: &Value<u64>) -> bool {
        let thread = thread::spawn({
            let value = value.clone();
            move || mem::forget(value.lock().unwrap())
        });
        thread.join().unwrap();
        // This process and another one both learn that the thread has ended.
        let here = value.lock().is_err();
        let elsewhere = Process::new(|value: &Value<u64>| value.lock().is_err(), (value,));
        here && elsewhere.start().unwrap().join().unwrap()
    }
    let value = Value::new(0).unwrap();
    assert!(
        Process::new(leaks, (&value,))
            .start()
            .unwrap()
            .join()
            .unwrap()
    );
    value.clear_poison();
    assert!(value.lock().is_ok());
}

fn a_handle_may_be_dropped_while_another_ones_guard_exists() {
    let value = Value::new(1u64).unwrap();
    let clone = value.clone();
    let mut guard = clone.lock().unwrap();
    drop(value);
    *guard += 1;
    drop(guard);
    assert_eq!(clone.get(), 2);

    // A child that gets the only handle.
    for _ in 0..10 {
        let value = Value::new(1u64).unwrap();
        let child = Process::new(|value: Value<u64>| *value.lock().unwrap(), (value,));
        assert_eq!(child.start().unwrap().join().unwrap(), 1);
    }
}

fn an_empty_array_works() {
    let array = Array::<i32>::new([]).unwrap();
    let zeros = Array::<f64>::zeroed(0).unwrap();
    let seen = |array: &Array<i32>| (array.len(), array.to_vec(), array.lock().unwrap().len());
    assert_eq!(seen(&array), (0, vec![], 0));
    assert_eq!(
        Process::new(seen, (&array,))
            .start()
            .unwrap()
            .join()
            .unwrap(),
        (0, vec![], 0)
    );
    assert!(zeros.is_empty() && zeros.to_vec().is_empty());
}

fn an_array_of_one_item_works() {
    let array = Array::new([7u8]).unwrap();
    let doubles = |array: &Array<u8>| array.lock().unwrap().iter_mut().for_each(|x| *x *= 2);
    Process::new(doubles, (&array,))
        .start()
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(array.to_vec(), [14]);
}

fn items_of_any_plain_type_are_aligned() {
    let wide = Array::new([u128::MAX, 0, 1]).unwrap();
    let guard = wide.lock().unwrap();
    assert_eq!(guard.as_ptr() as usize % align_of::<u128>(), 0);
    assert_eq!(*guard, [u128::MAX, 0, 1]);
    drop(guard);
    let value = Value::new(u128::MAX - 1).unwrap();
    assert_eq!(value.get(), u128::MAX - 1);
    assert_eq!(Value::new([1u8, 2, 3]).unwrap().get(), [1, 2, 3]);
    assert_eq!(
        Value::new(f64::MIN_POSITIVE).unwrap().get(),
        f64::MIN_POSITIVE
    );
    assert_eq!(Array::<f64>::zeroed(1_000).unwrap().to_vec(), [0.0; 1_000]);
}

fn a_size_that_overflows_is_an_error() {
    for len in [
        usize::MAX,
        usize::MAX / 8,
        usize::MAX / 8 + 1,
        usize::MAX / 16,
    ] {
        let error = Array::<u64>::zeroed(len).err();
        assert!(
            matches!(error, Some(Error::InvalidInput(_) | Error::System { .. })),
            "{len}: {error:?}"
        );
    }
}

fn a_size_beyond_the_address_space_is_an_error() {
    // More than any address space has.
    let error = Array::<u8>::zeroed(1 << 60).err();
    assert!(matches!(error, Some(Error::System { .. })), "{error:?}");
    // More than this process may have.
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, 4 << 30, hard).unwrap();
    let error = Array::<u8>::zeroed(8 << 30).err();
    assert!(matches!(error, Some(Error::System { .. })), "{error:?}");
    assert_eq!(Array::<u8>::zeroed(1 << 20).unwrap().len(), 1 << 20);
}

fn an_array_allocates_only_the_pages_that_are_written() {
    let array = Array::<u8>::zeroed(1 << 30).unwrap();
    array.set((1 << 30) - 1, 1);
    assert_eq!(array.get((1 << 30) - 1), 1);
    assert!(shared_memory() < 1 << 20, "{} bytes", shared_memory());
}

fn an_index_out_of_range_panics_without_poisoning() {
    let array = Array::new([1, 2]).unwrap();
    let panics = |act: &dyn Fn()| panic::catch_unwind(panic::AssertUnwindSafe(act)).is_err();
    assert!(panics(&|| _ = array.get(2)));
    assert!(panics(&|| array.set(2, 0)));
    // The lock is neither held nor poisoned.
    assert!(array.lock().is_ok());
}

/// Serialized as an `A` and deserialized as a `B`.
enum Mistaken<A, B> {
    Sent(A),
    Received(B),
}

impl<A: Serialize, B> Serialize for Mistaken<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Mistaken::Sent(sent) => sent.serialize(serializer),
            Mistaken::Received(_) => unreachable!("a received value is not sent again"),
        }
    }
}

impl<'de, A, B: Deserialize<'de>> Deserialize<'de> for Mistaken<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        B::deserialize(deserializer).map(Mistaken::Received)
    }
}

/// Sends an `A` that arrives as a `B`.
fn mistake<A, B>(sent: A, words: &[&str])
where
    A: Serialize + 'static,
    B: DeserializeOwned + 'static,
{
    let sent = Mistaken::<A, B>::Sent(sent);
    let child = Process::new(|_: Mistaken<A, B>| (), (sent,))
        .start()
        .unwrap();
    let error = child.join().unwrap_err();
    assert!(matches!(error, Error::Decode(_)), "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?}: {error}");
    }
}

fn a_handle_received_as_another_type_is_an_error_that_names_both() {
    type End = Connection<u8, u8>;
    let value = || Value::new(7u64).unwrap();
    let array = || Array::new([1u64, 2]).unwrap();
    let queue = || Queue::<u8>::new().unwrap();
    let end = || pipe::<u8, u8>().unwrap().0;

    mistake::<_, Array<u64>>(value(), &["a Value where an Array"]);
    mistake::<_, Queue<u8>>(value(), &["a Value where a Queue"]);
    mistake::<_, End>(value(), &["a Value where a Connection"]);
    mistake::<_, Value<u64>>(array(), &["an Array where a Value"]);
    mistake::<_, Queue<u8>>(array(), &["an Array where a Queue"]);
    mistake::<_, End>(array(), &["an Array where a Connection"]);
    mistake::<_, Value<u64>>(queue(), &["a Queue where a Value"]);
    mistake::<_, Array<u64>>(queue(), &["a Queue where an Array"]);
    mistake::<_, End>(queue(), &["a Queue where a Connection"]);
    mistake::<_, Value<u64>>(end(), &["a Connection where a Value"]);
    mistake::<_, Array<u64>>(end(), &["a Connection where an Array"]);
    mistake::<_, Queue<u8>>(end(), &["a Connection where a Queue"]);

    // Arrays of items of another size are rejected too.
    let empty = Array::<u64>::new([]).unwrap();
    mistake::<_, Value<u64>>(empty, &["an Array where a Value"]);
    let bytes = Array::new([1u8; 64]).unwrap();
    mistake::<_, Array<u64>>(bytes, &["an Array", "1-byte", "8-byte"]);
    mistake::<_, Array<u8>>(array(), &["an Array", "8-byte", "1-byte"]);
    mistake::<_, Value<u128>>(value(), &["a Value", "8-byte", "16-byte"]);

    // The index of a descriptor that was never sent.
    for number in [0u32, 1, 2, 7, u32::MAX] {
        mistake::<_, Queue<u8>>(number, &[]);
        mistake::<_, End>(number, &[]);
    }
    // The descriptors that a pool itself sends to its workers are out of reach.
    for number in 0u32..4 {
        let initializer = |_: Mistaken<u32, Queue<u8>>| ();
        let sent = Mistaken::<u32, Queue<u8>>::Sent(number);
        let pool = Pool::builder()
            .processes(1)
            .initializer(initializer, (sent,));
        assert!(pool.build().is_err(), "{number}");
    }
}

fn try_lock_and_debug_do_not_wait_for_a_held_lock() {
    let value = Value::new(7u64).unwrap();
    let array = Array::new([1, 2]).unwrap();
    assert_eq!(format!("{value:?} {array:?}"), "Value(7) Array([1, 2])");
    // Called by the owner of the locks, and by another thread.
    let held = || {
        assert!(matches!(value.try_lock(), Err(TryLockError::WouldBlock)));
        assert!(matches!(array.try_lock(), Err(TryLockError::WouldBlock)));
        let text = format!("{value:?} {array:?}");
        assert_eq!(text, "Value(<locked>) Array(<locked>)");
    };
    let guards = (value.lock().unwrap(), array.lock().unwrap());
    held();
    thread::scope(|scope| scope.spawn(held).join().unwrap());
    drop(guards);
    *value.try_lock().unwrap() += 1;
    array.try_lock().unwrap()[0] += 1;
    assert_eq!((value.get(), array.get(0)), (8, 2));
}

fn debug_prints_the_value_without_poisoning_or_hiding_poison() {
    let value = Value::new(1u64).unwrap();
    kill_owner_of(&value);
    assert_eq!(format!("{value:?}"), "Value(2)");
    assert!(value.lock().is_err());

    /// Panics when it is printed.
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[bytemuck(crate = "bytemuck")]
    #[repr(C)]
    struct Shy(u8);

    impl Debug for Shy {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("the Debug of an item panics")
        }
    }

    let shy = Value::new(Shy(1)).unwrap();
    let printed = panic::catch_unwind(panic::AssertUnwindSafe(|| format!("{shy:?}")));
    assert!(printed.is_err());
    assert!(!shy.is_poisoned() && shy.try_lock().is_ok());
}

fn lock_timeout_returns_the_guard_or_a_timeout_or_the_poison() {
    let value = Value::new(1u64).unwrap();
    let array = Array::new([1u8, 2]).unwrap();
    *value.lock_timeout(Duration::ZERO).unwrap() += 1;
    array.lock_timeout(Duration::MAX).unwrap()[1] += 1;
    assert_eq!((value.get(), array.get(1)), (2, 3));

    let (here, there) = pipe::<(), ()>().unwrap();
    let owner = Process::new(holds, (&value, there)).start().unwrap();
    here.recv().unwrap();
    for time in [Duration::ZERO, Duration::from_millis(50)] {
        let start = Instant::now();
        let answer = value.lock_timeout(time);
        assert!(matches!(answer, Err(TryLockError::WouldBlock)));
        assert!(start.elapsed() >= time);
        assert!(start.elapsed() < time + LONG);
    }
    // A waiter gets the poisoned guard when the owner dies.
    let waits = |value: &Value<u64>| match value.lock_timeout(LONG) {
        Err(TryLockError::Poisoned(poison)) => *poison.into_inner(),
        other => panic!("{other:?}"),
    };
    let waiter = Process::new(waits, (&value,)).start().unwrap();
    within(LONG, || is_waiting(waiter.pid())).unwrap();
    owner.kill().unwrap();
    assert_eq!(waiter.join().unwrap(), 3);
    assert!(owner.join().is_err());
    let answer = value.lock_timeout(Duration::ZERO);
    assert!(matches!(answer, Err(TryLockError::Poisoned(_))));
}

fn lock_timeout_on_a_lock_that_this_thread_holds_panics() {
    let value = Value::new(1u64).unwrap();
    let guard = value.lock().unwrap();
    let again = panic::catch_unwind(panic::AssertUnwindSafe(|| drop(value.lock_timeout(LONG))));
    let words = *again.unwrap_err().downcast::<&str>().unwrap();
    assert!(words.contains("holds the lock already"), "{words}");
    drop(guard);
    assert!(value.lock().is_ok());
}

fn a_forked_copy_of_a_handle_or_a_guard_may_be_dropped() {
    let value = Value::new(1u64).unwrap();
    let array = Array::new([1, 2, 3]).unwrap();
    let queue = Queue::new().unwrap();
    let (left, right) = pipe::<u8, u8>().unwrap();
    queue.put(vec![7u8; 300_000]).unwrap();
    left.send(1).unwrap();
    let mut guard = value.lock().unwrap();
    // SAFETY: this process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop(guard);
            drop((value, array, queue, left, right));
            // SAFETY: a copy of the parent runs none of its exit handlers.
            unsafe { nix::libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
        }
    }
    *guard += 1;
    // This process still holds the lock.
    thread::scope(|scope| {
        let other = scope.spawn(|| matches!(value.try_lock(), Err(TryLockError::WouldBlock)));
        assert!(other.join().unwrap());
    });
    drop(guard);
    assert_eq!(*value.lock().unwrap(), 2);
    assert_eq!(array.to_vec(), [1, 2, 3]);
    queue.put(vec![8]).unwrap();
    assert_eq!(queue.get().unwrap(), vec![7; 300_000]);
    assert_eq!(queue.get().unwrap(), [8]);
    assert_eq!(right.recv().unwrap(), 1);
    right.send(2).unwrap();
    assert_eq!(left.recv().unwrap(), 2);
}

fn an_array_of_a_thousand_counters_takes_one_descriptor() {
    let before = descriptors();
    let counters = Array::<u64>::zeroed(1_000).unwrap();
    assert_eq!(descriptors() - before, 1);
    let clones: Vec<_> = (0..100).map(|_| counters.clone()).collect();
    assert_eq!(descriptors() - before, 1);
    drop(clones);
    let values: Vec<_> = (0..10).map(|n| Value::new(n).unwrap()).collect();
    assert_eq!(descriptors() - before, 11);
    let pages = |memory: u64| memory / 4096;
    let used = shared_memory();
    counters.lock().unwrap().fill(1);
    assert_eq!((pages(used), pages(shared_memory())), (11, 12));
    drop(values);
}

fn a_struct_with_the_derives_can_be_shared() {
    #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
    #[bytemuck(crate = "bytemuck")]
    #[repr(C)]
    struct Point {
        x: f64,
        y: f64,
    }
    let point = Value::new(Point::default()).unwrap();
    let line = Array::new([Point { x: 1.0, y: 2.0 }; 3]).unwrap();
    let moves = |point: &Value<Point>, line: &Array<Point>| {
        point.lock().unwrap().x += line.get(1).y;
    };
    let child = Process::new(moves, (&point, &line)).start().unwrap();
    child.join().unwrap();
    assert_eq!(point.get(), Point { x: 2.0, y: 0.0 });
}

fn a_core_dump_excludes_shared_memory() {
    let queue = Queue::new().unwrap();
    // Both sides map the ring again whenever it grows.
    for size in [1, 100_000, 1_000_000, 10_000_000] {
        queue.put(vec![1u8; size]).unwrap();
        assert_eq!(queue.get().unwrap().len(), size);
    }
    let value = Value::new(1).unwrap();
    let array = Array::<u8>::zeroed(100_000).unwrap();
    let pool = Pool::new(1).unwrap();
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut name, mut seen) = ("", 0);
    for line in maps.lines() {
        match line.strip_prefix("VmFlags:") {
            Some(flags) if name.contains("memfd:") => {
                assert!(flags.split(' ').any(|flag| flag == "dd"), "{name}: {flags}");
                seen += 1;
            }
            Some(_) => {}
            None if line.contains('-') => name = line,
            None => {}
        }
    }
    assert!(seen >= 5, "{seen} maps");
    drop((queue, value, array, pool));
}

fn a_process_that_aborts_with_a_queue_leaves_a_small_core() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
    if pattern.trim() != "core" || hard < 100 << 20 {
        return eprintln!("skipped: core dumps go elsewhere: {soft} {pattern}");
    }
    let aborts = |queue: &Queue<Vec<u8>>| -> u8 {
        let folder = env::temp_dir().join(format!("shared-core-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        env::set_current_dir(&folder).unwrap();
        setrlimit(Resource::RLIMIT_CORE, 100 << 20, 100 << 20).unwrap();
        queue.get().unwrap();
        queue.put(vec![1; 50 << 20]).unwrap();
        process::abort();
    };
    let queue = Queue::new().unwrap();
    queue.put(vec![1; 50 << 20]).unwrap();
    let used = shared_memory();
    let child = Process::new(aborts, (&queue,)).start().unwrap();
    let folder = env::temp_dir().join(format!("shared-core-{}", child.pid()));
    assert!(child.join().is_err());
    let cores: u64 = fs::read_dir(&folder)
        .unwrap()
        .map(|core| core.unwrap().metadata().unwrap().blocks() * 512)
        .sum();
    fs::remove_dir_all(folder).unwrap();
    assert!(cores < 20 << 20, "a core of {cores} bytes");
    // Writing the core dump has not filled the holes of the memfd.
    assert!(shared_memory() < used + (60 << 20));
}
