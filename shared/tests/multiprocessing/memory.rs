//! Value and Array: what they hold, and what becomes of their locks.

use std::sync::PoisonError;
use std::time::{Duration, Instant};
use std::{mem, panic, process, thread};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, raise};
use shared::multiprocessing::{Array, Connection, Error, Process, Value, pipe};

use crate::harness::{is_waiting, shared_memory, within};

pub const TESTS: &[(&str, fn())] = named![
    a_value_is_read_and_written_by_every_process,
    an_array_is_read_and_written_by_every_process,
    a_lock_spans_the_whole_of_an_update,
    four_processes_count_exactly,
    a_value_whose_holder_is_killed_is_poisoned_at_once,
    an_array_whose_holder_is_killed_is_poisoned_at_once,
    one_who_waits_for_a_killed_holder_is_told_at_once,
    get_and_set_go_on_after_a_holder_is_killed,
    poison_stays_until_it_is_cleared,
    a_holder_that_panics_poisons,
    a_holder_that_exits_poisons,
    locking_twice_panics,
    a_forgotten_guard_is_no_crash_and_no_hang,
    a_thread_that_ends_holding_a_lock_poisons_it,
    a_handle_may_go_while_its_guard_lives,
    an_array_of_nothing_is_an_array,
    an_array_of_one_is_an_array,
    any_plain_type_is_aligned,
    a_size_that_overflows_is_an_error,
    a_size_that_cannot_be_had_is_an_error,
    an_array_takes_memory_only_where_it_is_written,
    out_of_range_panics,
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

fn a_lock_spans_the_whole_of_an_update() {
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

/// Kills a process that holds the lock, and gives the time of its death.
fn kill_holder_of(value: &Value<u64>) -> Instant {
    let (here, there) = pipe::<(), ()>().unwrap();
    let holder = Process::new(holds, (value, there)).start().unwrap();
    here.recv().unwrap();
    let start = Instant::now();
    holder.kill().unwrap();
    assert!(matches!(
        holder.join(),
        Err(Error::Killed { signal: 9, .. })
    ));
    start
}

fn holds(value: &Value<u64>, told: Connection<(), ()>) {
    let mut guard = value.lock().unwrap_or_else(PoisonError::into_inner);
    *guard += 1;
    told.send(()).unwrap();
    thread::park();
}

const AT_ONCE: Duration = Duration::from_millis(100);

fn a_value_whose_holder_is_killed_is_poisoned_at_once() {
    let value = Value::new(1u64).unwrap();
    assert!(!value.is_poisoned());
    let start = kill_holder_of(&value);
    let guard = value.lock().expect_err("poisoned").into_inner();
    assert!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
    assert_eq!(*guard, 2);
}

fn an_array_whose_holder_is_killed_is_poisoned_at_once() {
    let array = Array::new([1u8, 2, 3]).unwrap();
    let (here, there) = pipe::<(), ()>().unwrap();
    let holds = |array: &Array<u8>, told: Connection<(), ()>| {
        let mut guard = array.lock().unwrap();
        guard[1] = 7;
        told.send(()).unwrap();
        thread::park();
    };
    let holder = Process::new(holds, (&array, there)).start().unwrap();
    here.recv().unwrap();
    let start = Instant::now();
    holder.kill().unwrap();
    let mut guard = array.lock().expect_err("poisoned").into_inner();
    assert!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
    assert_eq!(*guard, [1, 7, 3]);
    guard[2] = 9;
    drop(guard);
    assert_eq!((array.get(1), array.to_vec()), (7, vec![1, 7, 9]));
    assert!(holder.join().is_err());
}

fn one_who_waits_for_a_killed_holder_is_told_at_once() {
    let value = Value::new(0u64).unwrap();
    let (here, there) = pipe::<(), ()>().unwrap();
    let holder = Process::new(holds, (&value, there)).start().unwrap();
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
    holder.kill().unwrap();
    assert!(waiting.recv().unwrap());
    assert!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
    waiter.join().unwrap();
    assert!(holder.join().is_err());
}

fn get_and_set_go_on_after_a_holder_is_killed() {
    let value = Value::new(1u64).unwrap();
    kill_holder_of(&value);
    assert_eq!(value.get(), 2);
    kill_holder_of(&value);
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
    kill_holder_of(&value);
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

fn a_holder_that_panics_poisons() {
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

fn a_holder_that_exits_poisons() {
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

fn locking_twice_panics() {
    let value = Value::new(1u64).unwrap();
    let guard = value.lock().unwrap();
    let again = panic::catch_unwind(panic::AssertUnwindSafe(|| drop(value.lock())));
    assert!(again.is_err());
    drop(guard);
    assert_eq!(value.get(), 1);
}

fn a_forgotten_guard_is_no_crash_and_no_hang() {
    // In a process of its own, for what it forgets stays until it ends.
    fn forgets(value: Value<u64>, other: &Value<u64>, array: Array<u64>) {
        mem::forget(value.lock().unwrap());
        mem::forget(array.lock().unwrap());
        drop((value, array));
        // These walk the same list of locks held.
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
    // The process has ended with the locks held.
    assert!(value.lock().is_err() && array.lock().is_err());
    assert_eq!((value.get(), array.get(0)), (0, 0));
    assert!(!other.is_poisoned());
}

fn a_thread_that_ends_holding_a_lock_poisons_it() {
    // In a process of its own, for what it forgets stays until it ends.
    fn leaks(value: &Value<u64>) -> bool {
        let thread = thread::spawn({
            let value = value.clone();
            move || mem::forget(value.lock().unwrap())
        });
        thread.join().unwrap();
        // Both here and elsewhere the thread is gone, not the process.
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

fn a_handle_may_go_while_its_guard_lives() {
    let value = Value::new(1u64).unwrap();
    let clone = value.clone();
    let mut guard = clone.lock().unwrap();
    drop(value);
    *guard += 1;
    drop(guard);
    assert_eq!(clone.get(), 2);

    // Children that are given the only handle, and one that exits at once.
    for _ in 0..10 {
        let value = Value::new(1u64).unwrap();
        let child = Process::new(|value: Value<u64>| *value.lock().unwrap(), (value,));
        assert_eq!(child.start().unwrap().join().unwrap(), 1);
    }
}

fn an_array_of_nothing_is_an_array() {
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

fn an_array_of_one_is_an_array() {
    let array = Array::new([7u8]).unwrap();
    let doubles = |array: &Array<u8>| array.lock().unwrap().iter_mut().for_each(|x| *x *= 2);
    Process::new(doubles, (&array,))
        .start()
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(array.to_vec(), [14]);
}

fn any_plain_type_is_aligned() {
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

fn a_size_that_cannot_be_had_is_an_error() {
    // More than any address space has.
    let error = Array::<u8>::zeroed(1 << 60).err();
    assert!(matches!(error, Some(Error::System { .. })), "{error:?}");
    // More than this one is to have.
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, 4 << 30, hard).unwrap();
    let error = Array::<u8>::zeroed(8 << 30).err();
    assert!(matches!(error, Some(Error::System { .. })), "{error:?}");
    assert_eq!(Array::<u8>::zeroed(1 << 20).unwrap().len(), 1 << 20);
}

fn an_array_takes_memory_only_where_it_is_written() {
    let array = Array::<u8>::zeroed(1 << 30).unwrap();
    array.set((1 << 30) - 1, 1);
    assert_eq!(array.get((1 << 30) - 1), 1);
    assert!(shared_memory() < 1 << 20, "{} bytes", shared_memory());
}

fn out_of_range_panics() {
    let array = Array::new([1, 2]).unwrap();
    let panics = |act: &dyn Fn()| panic::catch_unwind(panic::AssertUnwindSafe(act)).is_err();
    assert!(panics(&|| _ = array.get(2)));
    assert!(panics(&|| array.set(2, 0)));
    // Neither has left it locked or poisoned.
    assert!(array.lock().is_ok());
}
