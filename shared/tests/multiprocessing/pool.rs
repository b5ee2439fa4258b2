//! Pool: every method returns the right results in the right order, a failing
//! task fails alone, and a pool always ends.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{self, Stdio};
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, hint, panic, thread};

use nix::sys::signal::{Signal, kill, killpg, raise};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use shared::multiprocessing::{self, Array, Error, Pool, Process, Queue, Value};

use crate::fussy::{Fussy, UNDECODABLE, UNENCODABLE};
use crate::harness::{
    MARK, act_by_default, children, itself, reap_orphans, shared_memory, sleeps, within,
};

pub const TESTS: &[(&str, fn())] = named![
    map_gives_results_in_input_order,
    any_chunk_size_gives_the_same_results,
    apply_and_starmap_pass_every_argument,
    the_async_methods_give_the_same_results,
    imap_yields_in_order_and_imap_unordered_yields_all,
    imap_unordered_yields_what_is_done_first,
    a_task_that_waits_delays_no_task_that_was_sent_with_it,
    tasks_that_were_sent_together_fail_alone,
    an_imap_yields_an_error_for_each_item_of_a_closed_pool,
    an_imap_loses_no_item_when_its_iterator_panics,
    empty_input_is_an_empty_result,
    imap_reads_an_infinite_iterator_in_bounded_memory,
    an_imap_may_be_dropped_early,
    a_panic_of_the_input_iterator_reaches_only_the_caller,
    workers_work_at_the_same_time,
    a_worker_is_woken_once_for_many_short_tasks,
    arguments_and_results_of_a_mib_arrive_whole,
    an_initializer_runs_in_every_worker_with_handles,
    max_tasks_per_child_replaces_workers,
    close_lets_what_was_submitted_finish,
    a_closed_or_terminated_pool_takes_no_tasks,
    join_waits_for_every_worker,
    terminate_with_ten_thousand_tasks_waiting_ends_at_once,
    dropping_a_pool_terminates_it,
    a_result_may_be_dropped_before_it_has_come,
    every_wait_has_a_timeout,
    a_task_that_panics_fails_alone,
    a_task_that_exits_with_0_fails_alone,
    a_task_that_exits_with_3_fails_alone,
    a_task_that_aborts_fails_alone,
    a_task_killed_by_sigkill_fails_alone,
    a_task_killed_by_sigsegv_fails_alone,
    a_task_whose_stack_overflows_fails_alone,
    a_task_whose_argument_cannot_be_decoded_fails_alone,
    a_task_whose_result_cannot_be_encoded_fails_alone,
    a_task_whose_result_cannot_be_decoded_fails_alone,
    a_task_whose_argument_cannot_be_encoded_is_rejected,
    a_map_runs_all_other_chunks_if_a_call_panics,
    a_map_runs_all_other_chunks_if_a_worker_dies,
    an_imap_goes_on_after_a_failure,
    a_worker_killed_while_idle_fails_no_task,
    all_workers_killed_at_once_are_replaced,
    workers_may_kill_each_other,
    an_initializer_that_fails_is_an_error_at_build,
    a_worker_that_keeps_dying_at_its_start_is_an_error,
    an_initializer_that_fails_later_is_an_error_for_every_task,
    pools_work_inside_processes,
    pools_work_inside_pool_workers,
    workers_ignore_sigint,
    ctrl_c_ends_a_program_with_its_pool,
    sigterm_ends_a_program_with_its_pool,
    threads_may_share_a_pool,
    a_pool_of_0_workers_or_0_tasks_is_rejected,
];

pub const PROGRAMS: &[(&str, fn())] = named![busy_program, workers_die_at_their_start];

pub const LONG: Duration = Duration::from_secs(30);
pub const SHORT: Duration = Duration::from_millis(50);

pub fn square(n: i64) -> i64 {
    n * n
}

fn squares(n: i64) -> Vec<i64> {
    (0..n).map(square).collect()
}

fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Checks that the pool still works, as it has to after every fault.
pub fn is_well(pool: &Pool) {
    assert_eq!(pool.map(square, 0..100).unwrap(), squares(100));
}

fn map_gives_results_in_input_order() {
    let pool = Pool::new(4).unwrap();
    assert_eq!(
        pool.map(square, [1, 2, 3, 4, 5]).unwrap(),
        [1, 4, 9, 16, 25]
    );
    assert_eq!(pool.map(square, 0..5_000).unwrap(), squares(5_000));
    // The last task is done first.
    let slow_first = |n: u64| {
        thread::sleep(Duration::from_millis(40 - 10 * n));
        n
    };
    assert_eq!(pool.map_chunked(slow_first, 0..4, 1).unwrap(), [0, 1, 2, 3]);
}

fn any_chunk_size_gives_the_same_results() {
    let pool = Pool::new(3).unwrap();
    for chunk in [1, 2, 3, 7, 25, 99, 100, 101, usize::MAX] {
        assert_eq!(
            pool.map_chunked(square, 0..100, chunk).unwrap(),
            squares(100),
            "{chunk}"
        );
    }
    let error = pool.map_chunked(square, 0..9, 0).unwrap_err();
    assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
    is_well(&pool);
}

fn apply_and_starmap_pass_every_argument() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.apply(square, (3,)).unwrap(), 9);
    assert_eq!(pool.apply(|| "none".to_string(), ()).unwrap(), "none");
    assert_eq!(
        pool.apply(
            |a: u8, b: String, c: Option<char>| (c, b, a),
            (1, "b".to_string(), Some('c'))
        )
        .unwrap(),
        (Some('c'), "b".to_string(), 1)
    );
    assert_eq!(pool.starmap(add, [(1, 2), (3, 4)]).unwrap(), [3, 7]);
}

fn the_async_methods_give_the_same_results() {
    let pool = Pool::new(2).unwrap();
    let one = pool.apply_async(square, (3,)).unwrap();
    let many = pool.map_async(square, 0..100).unwrap();
    let pairs = pool.starmap_async(add, (0..100).map(|n| (n, n))).unwrap();
    assert!(one.wait(LONG) && one.ready());
    assert_eq!(one.get().unwrap(), 9);
    assert_eq!(many.get_timeout(LONG).unwrap(), squares(100));
    assert_eq!(
        pairs.get().unwrap(),
        (0..100).map(|n| 2 * n).collect::<Vec<_>>()
    );
}

fn imap_yields_in_order_and_imap_unordered_yields_all() {
    let pool = Pool::new(3).unwrap();
    let ordered: Result<Vec<_>, _> = pool.imap(square, 0..1_000).collect();
    assert_eq!(ordered.unwrap(), squares(1_000));
    let unordered: Result<Vec<_>, _> = pool.imap_unordered(square, 0..1_000).collect();
    let mut unordered = unordered.unwrap();
    unordered.sort_unstable();
    assert_eq!(unordered, squares(1_000));
}

fn imap_unordered_yields_what_is_done_first() {
    yields_all_but_the_one_that_waits(0, 10);
}

fn a_task_that_waits_delays_no_task_that_was_sent_with_it() {
    yields_all_but_the_one_that_waits(500, 1_000);
}

/// Of so many tasks one waits, and all others are done before it.
fn yields_all_but_the_one_that_waits(waiting: usize, tasks: usize) {
    let (pool, gate) = with_gate(2);
    let one_waits = |(n, waits): (usize, bool)| {
        if waits {
            GATE.get().unwrap().get().unwrap();
        }
        n
    };
    let mut results = pool.imap_unordered(one_waits, (0..tasks).map(|n| (n, n == waiting)));
    let others = results.by_ref().take(tasks - 1).map(Result::unwrap);
    let others: HashSet<_> = others.collect();
    assert_eq!(others, (0..tasks).filter(|&n| n != waiting).collect());
    gate.put(()).unwrap();
    assert_eq!(results.next().unwrap().unwrap(), waiting);
    assert!(results.next().is_none());
}

fn tasks_that_were_sent_together_fail_alone() {
    let pool = Pool::new(2).unwrap();
    let some_fail = |n: i64| match n % 300 {
        100 => process::abort(),
        200 => panic!("the task {n}"),
        _ => square(n),
    };
    for (n, result) in (0..3_000).zip(pool.imap(some_fail, 0..3_000)) {
        match (n % 300, result) {
            (100, Err(Error::Killed { signal: 6, .. })) => {}
            (200, Err(Error::Panicked { message, .. })) => {
                assert_eq!(message, format!("the task {n}"));
            }
            (_, result) => assert_eq!(result.unwrap(), square(n)),
        }
    }
    is_well(&pool);
}

fn an_imap_yields_an_error_for_each_item_of_a_closed_pool() {
    let pool = Pool::new(2).unwrap();
    let mut results = pool.imap(square, 0..3_000);
    for n in 0..500 {
        assert_eq!(results.next().unwrap().unwrap(), square(n));
    }
    pool.close();
    let (mut done, mut rejected) = (500, 0);
    for result in results {
        match result {
            Ok(result) => {
                assert_eq!((result, rejected), (square(done), 0));
                done += 1;
            }
            Err(Error::Closed) => rejected += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(
        done + rejected == 3_000 && rejected > 0,
        "{done} {rejected}"
    );
}

fn an_imap_loses_no_item_when_its_iterator_panics() {
    let pool = Pool::new(2).unwrap();
    let broken = (0..1_000).inspect(|&n: &i64| assert!(n % 100 != 50, "the input broke"));
    let mut results = pool.imap(square, broken);
    let mut all = Vec::new();
    let mut panics = 0;
    loop {
        match panic::catch_unwind(panic::AssertUnwindSafe(|| results.next())) {
            Ok(Some(result)) => all.push(result.unwrap()),
            Ok(None) => break,
            Err(_) => panics += 1,
        }
    }
    let expected = (0..1_000).filter(|n| n % 100 != 50).map(square);
    assert!(all.into_iter().eq(expected));
    assert_eq!(panics, 10);
    is_well(&pool);
}

/// The queue in which a worker's tasks wait, or by which they are counted.
pub static GATE: OnceLock<Queue<()>> = OnceLock::new();

fn keep_gate(gate: Queue<()>) {
    GATE.set(gate).unwrap();
}

/// A pool whose workers have the gate, and the gate.
pub fn with_gate(processes: usize) -> (Pool, Queue<()>) {
    let gate = Queue::new().unwrap();
    let pool = Pool::builder()
        .processes(processes)
        .initializer(keep_gate, (gate.clone(),));
    (pool.build().unwrap(), gate)
}

fn empty_input_is_an_empty_result() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(square, []).unwrap(), []);
    assert_eq!(pool.map_chunked(square, [], 3).unwrap(), []);
    assert_eq!(pool.starmap(add, []).unwrap(), []);
    let later = pool.map_async(square, []).unwrap();
    assert!(later.wait(Duration::ZERO));
    assert_eq!(later.get().unwrap(), []);
    assert!(pool.imap(square, []).next().is_none());
    assert!(pool.imap_unordered(square, []).next().is_none());
    is_well(&pool);
}

fn imap_reads_an_infinite_iterator_in_bounded_memory() {
    let pool = Pool::new(2).unwrap();
    let read = AtomicUsize::new(0);
    let endless = || (0..).inspect(|_| _ = read.fetch_add(1, Ordering::Relaxed));
    for (n, result) in pool.imap(square, endless()).take(3_000).enumerate() {
        assert_eq!(result.unwrap(), square(n as i64));
        let ahead = read.load(Ordering::Relaxed) - n;
        assert!(ahead < 1_000, "{ahead} read ahead");
    }
    read.store(0, Ordering::Relaxed);
    for (n, result) in pool
        .imap_unordered(square, endless())
        .take(3_000)
        .enumerate()
    {
        result.unwrap();
        let ahead = read.load(Ordering::Relaxed) - n;
        assert!(ahead < 1_000, "{ahead} read ahead");
    }
    assert!(shared_memory() < 16 << 20, "{} bytes", shared_memory());
    // The docs promise 16 for each worker if they are not small.
    read.store(0, Ordering::Relaxed);
    let large = endless().map(|n: i64| n.to_string().repeat(1 << 15));
    for (n, result) in pool
        .imap(|text: String| text.len(), large)
        .take(200)
        .enumerate()
    {
        assert_eq!(result.unwrap(), n.to_string().len() << 15);
        let ahead = read.load(Ordering::Relaxed) - n;
        assert!(ahead <= 32, "{ahead} large ones read ahead");
    }
    is_well(&pool);
}

fn an_imap_may_be_dropped_early() {
    let pool = Pool::new(2).unwrap();
    for _ in 0..10 {
        let mut results = pool.imap(square, 0..);
        assert_eq!(results.next().unwrap().unwrap(), 0);
        drop(results);
        drop(pool.imap_unordered(square, 0..));
    }
    is_well(&pool);
}

fn a_panic_of_the_input_iterator_reaches_only_the_caller() {
    let pool = Pool::new(2).unwrap();
    let broken = || {
        (0..100).inspect(|&n: &i64| {
            if n == 50 {
                panic!("the input broke");
            }
        })
    };
    let panics = |act: &dyn Fn()| {
        let panic = panic::catch_unwind(panic::AssertUnwindSafe(act)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the input broke"));
    };
    panics(&|| drop(pool.map(square, broken())));
    panics(&|| drop(pool.map_chunked(square, broken(), 7)));
    panics(&|| drop(pool.map_async(square, broken())));
    panics(&|| drop(pool.starmap(add, broken().map(|n| (n, n)))));
    panics(&|| pool.imap(square, broken()).for_each(drop));
    panics(&|| pool.imap_unordered(square, broken()).for_each(drop));
    is_well(&pool);
}

fn workers_work_at_the_same_time() {
    const WORKERS: usize = 64;
    // Each of the first tasks returns only when all of them have begun.
    let meet = |n: usize| {
        let gate = GATE.get().unwrap();
        n >= WORKERS || gate.put(()).is_ok() && within(LONG, || gate.len() >= WORKERS).is_ok()
    };
    // Without other tasks, and with many that wait behind them.
    for tasks in [WORKERS, 100 * WORKERS] {
        let (pool, _gate) = with_gate(WORKERS);
        let met = pool.map_chunked(meet, 0..tasks, 1).unwrap();
        assert_eq!(met, vec![true; tasks]);
    }
}

fn a_worker_is_woken_once_for_many_short_tasks() {
    const TASKS: i64 = 20_000;
    let pool = Pool::new(64).unwrap();
    is_well(&pool);
    let workers = children(process::id());
    let sleeps = || -> u64 { workers.iter().map(|&pid| sleeps(pid)).sum() };
    let before = sleeps();
    let results = pool.map_chunked(square, 0..TASKS, 1).unwrap();
    assert!(results.into_iter().eq((0..TASKS).map(square)));
    let slept = sleeps() - before;
    assert!(
        slept < TASKS as u64 / 10,
        "{slept} sleeps for {TASKS} tasks"
    );
}

fn arguments_and_results_of_a_mib_arrive_whole() {
    let pool = Pool::new(2).unwrap();
    let inverts = |bytes: Vec<u8>| bytes.into_iter().map(|byte| !byte).collect::<Vec<_>>();
    let results = pool.map(inverts, (0..4).map(|n| vec![n; 1 << 20])).unwrap();
    for (n, result) in results.into_iter().enumerate() {
        assert!(result.len() == 1 << 20 && result.iter().all(|&byte| byte == !(n as u8)));
    }
}

/// How often each task was run.
static LEDGER: OnceLock<Array<u32>> = OnceLock::new();

fn keep_ledger(ledger: Array<u32>, starts: &Value<u32>) {
    LEDGER.set(ledger).unwrap();
    // A test may kill a worker that holds this lock.
    *starts.lock().unwrap_or_else(PoisonError::into_inner) += 1;
}

/// Counts in the ledger that task `n` was run.
fn enter(n: usize) {
    LEDGER.get().unwrap().lock().unwrap()[n] += 1;
}

fn an_initializer_runs_in_every_worker_with_handles() {
    let ledger = Array::zeroed(100).unwrap();
    let starts = Value::new(0).unwrap();
    let pool = Pool::builder()
        .processes(3)
        .initializer(keep_ledger, (ledger.clone(), &starts))
        .build();
    let pool = pool.unwrap();
    pool.map(enter, 0..100).unwrap();
    assert_eq!(ledger.to_vec(), [1; 100]);
    pool.close();
    pool.join().unwrap();
    assert_eq!(starts.get(), 3);
}

fn max_tasks_per_child_replaces_workers() {
    let pool = Pool::builder()
        .processes(2)
        .max_tasks_per_child(10)
        .build()
        .unwrap();
    let pids = pool.map_chunked(|_: i64| process::id(), 0..100, 1).unwrap();
    let mut tasks = HashMap::new();
    for pid in pids {
        *tasks.entry(pid).or_insert(0) += 1;
    }
    assert!(tasks.values().all(|&tasks| tasks <= 10), "{tasks:?}");
    is_well(&pool);

    let pool = Pool::builder()
        .processes(1)
        .max_tasks_per_child(1)
        .build()
        .unwrap();
    let pids = pool.map_chunked(|_: i64| process::id(), 0..10, 1).unwrap();
    assert_eq!(pids.into_iter().collect::<HashSet<_>>().len(), 10);
}

fn close_lets_what_was_submitted_finish() {
    let pool = Pool::new(2).unwrap();
    let slowly = |n: i64| {
        thread::sleep(Duration::from_millis(1));
        n * n
    };
    let results = pool.map_async(slowly, 0..100).unwrap();
    pool.close();
    pool.join().unwrap();
    assert!(results.ready());
    assert_eq!(results.get().unwrap(), squares(100));
}

fn a_closed_or_terminated_pool_takes_no_tasks() {
    fn is_rejected<T>(result: Result<T, Error>) {
        assert!(matches!(
            result.err(),
            Some(Error::Closed | Error::Terminated)
        ));
    }
    for end in [Pool::close, Pool::terminate] {
        let pool = Pool::new(2).unwrap();
        end(&pool);
        is_rejected(pool.apply(square, (1,)));
        is_rejected(pool.map(square, 0..3));
        is_rejected(pool.apply_async(square, (1,)));
        is_rejected(pool.map_async(square, 0..3));
        is_rejected(pool.imap(square, 0..3).next().unwrap());
        end(&pool);
        pool.join().unwrap();
        pool.terminate();
    }
}

fn join_waits_for_every_worker() {
    let pool = Pool::new(3).unwrap();
    let workers = children(process::id());
    assert_eq!(workers.len(), 3);
    pool.close();
    pool.join().unwrap();
    assert_eq!(children(process::id()), []);
    drop(pool);
}

pub fn spins(_: u64) {
    loop {
        hint::spin_loop();
    }
}

fn terminate_with_ten_thousand_tasks_waiting_ends_at_once() {
    let pool = Pool::new(2).unwrap();
    let results = pool.map_async(spins, 0..10_000).unwrap();
    let single = pool.apply_async(spins, (0,)).unwrap();
    let waiting = thread::spawn(move || single.get());
    let start = Instant::now();
    pool.terminate();
    pool.join().unwrap();
    assert!(matches!(results.get(), Err(Error::Terminated)));
    assert!(matches!(waiting.join().unwrap(), Err(Error::Terminated)));
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "it took {:?}",
        start.elapsed()
    );
    assert_eq!(children(process::id()), []);
}

fn dropping_a_pool_terminates_it() {
    let pool = Pool::new(2).unwrap();
    let results = pool.map_async(spins, 0..10).unwrap();
    let start = Instant::now();
    drop(pool);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "it took {:?}",
        start.elapsed()
    );
    assert_eq!(children(process::id()), []);
    assert!(results.ready());
    assert!(matches!(results.get_timeout(LONG), Err(Error::Terminated)));
}

fn a_result_may_be_dropped_before_it_has_come() {
    let pool = Pool::new(2).unwrap();
    for n in 0..100 {
        drop(pool.apply_async(square, (n,)).unwrap());
    }
    drop(
        pool.map_async(
            |_: i64| -> i64 { panic!("no one waits for this result") },
            0..3,
        )
        .unwrap(),
    );
    is_well(&pool);
}

fn every_wait_has_a_timeout() {
    let (pool, gate) = with_gate(1);
    let waits = |_: u8| GATE.get().unwrap().get().unwrap();
    let one = pool.apply_async(waits, (0,)).unwrap();
    let many = pool.map_async(waits, 0..2).unwrap();
    let mut each = pool.imap(waits, 0..1);
    for time in [Duration::ZERO, SHORT] {
        let start = Instant::now();
        assert!(!one.ready() && !one.wait(time));
        assert!(start.elapsed() >= time);
        let start = Instant::now();
        assert!(matches!(many.get_timeout(time), Err(Error::Timeout)));
        assert!(start.elapsed() >= time);
        let start = Instant::now();
        assert!(matches!(each.next_timeout(time), Some(Err(Error::Timeout))));
        assert!(start.elapsed() >= time);
    }
    (0..4).for_each(|_| gate.put(()).unwrap());
    assert!(one.wait(LONG));
    one.get_timeout(Duration::ZERO).unwrap();
    many.get_timeout(Duration::MAX).unwrap();
    each.next_timeout(LONG).unwrap().unwrap();
    assert!(each.next_timeout(LONG).is_none());
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Fault {
    Panic,
    Exit(i32),
    Abort,
    Signal(i32),
    StackOverflow,
    Argument,
    UnencodableResult,
    UndecodableResult,
}

/// When the task was about to fail, on the clock that all processes share.
static DEATH: OnceLock<Value<u64>> = OnceLock::new();

fn keep_death(death: Value<u64>) {
    DEATH.set(death).unwrap();
}

fn now() -> u64 {
    Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_nanos() as u64
}

fn faulty_square(fault: Option<Fault>, n: Fussy) -> Fussy {
    let Some(fault) = fault else {
        return Fussy(n.0 * n.0);
    };
    DEATH.get().unwrap().set(now());
    match fault {
        Fault::Panic => panic!("out of squares"),
        Fault::Exit(code) => process::exit(code),
        Fault::Abort => process::abort(),
        // The first SIGSEGV runs the handler of Rust's runtime, which restores
        // the default action for the next one.
        Fault::Signal(signal) => loop {
            raise(Signal::try_from(signal).unwrap()).unwrap();
        },
        Fault::StackOverflow => Fussy(deepen(0) as i64),
        Fault::Argument => unreachable!("the argument cannot be decoded"),
        Fault::UnencodableResult => Fussy(UNENCODABLE),
        Fault::UndecodableResult => Fussy(UNDECODABLE),
    }
}

#[expect(unconditional_recursion, reason = "it overflows the stack")]
fn deepen(depth: u64) -> u64 {
    let page = hint::black_box([depth; 512]);
    deepen(depth + 1) + page[511]
}

/// Checks that one task out of many that has this fault fails as `expected`, soon
/// after it if the worker died, and that no other task fails.
fn fails_alone(fault: Fault, expected: fn(&Error) -> bool) {
    const BAD: i64 = 17;
    let death = Value::new(0).unwrap();
    let pool = Pool::builder()
        .processes(3)
        .initializer(keep_death, (death.clone(),))
        .build()
        .unwrap();
    let argument = |n| match fault {
        Fault::Argument if n == BAD => Fussy(UNDECODABLE),
        _ => Fussy(n),
    };
    let submit = |n| {
        let fault = (n == BAD).then_some(fault);
        pool.apply_async(faulty_square, (fault, argument(n)))
            .unwrap()
    };
    let mut results: Vec<_> = (0..BAD).map(submit).collect();
    let bad = submit(BAD);
    results.extend((BAD + 1..50).map(submit));

    let error = bad.get_timeout(LONG).unwrap_err();
    let late = Duration::from_nanos(now() - death.get());
    assert!(expected(&error), "{error:?}");
    // Not for a panic, because it takes long to resolve its backtrace.
    let died = matches!(error, Error::Killed { .. } | Error::Exited { .. });
    assert!(
        !died || late < Duration::from_millis(100),
        "noticed after {late:?}"
    );

    let good: Vec<_> = results
        .into_iter()
        .map(|result| result.get_timeout(LONG).unwrap().0)
        .collect();
    let expected: Vec<_> = (0..50).filter(|&n| n != BAD).map(square).collect();
    assert_eq!(good, expected);
    is_well(&pool);
    // A dead worker is replaced.
    within(LONG, || children(process::id()).len() == 3).unwrap();
}

fn a_task_that_panics_fails_alone() {
    fails_alone(Fault::Panic, |error| {
        matches!(error, Error::Panicked { message, location, backtrace, .. }
            if message == "out of squares"
            && location.starts_with(file!())
            && backtrace.contains("faulty_square"))
    });
}

fn a_task_that_exits_with_0_fails_alone() {
    fails_alone(Fault::Exit(0), |error| {
        matches!(error, Error::Exited { code: 0, .. })
    });
}

fn a_task_that_exits_with_3_fails_alone() {
    fails_alone(Fault::Exit(3), |error| {
        matches!(error, Error::Exited { code: 3, .. })
    });
}

fn a_task_that_aborts_fails_alone() {
    fails_alone(Fault::Abort, |error| {
        matches!(error, Error::Killed { signal: 6, .. })
    });
}

fn a_task_killed_by_sigkill_fails_alone() {
    fails_alone(Fault::Signal(9), |error| {
        matches!(error, Error::Killed { signal: 9, .. })
    });
}

fn a_task_killed_by_sigsegv_fails_alone() {
    fails_alone(Fault::Signal(11), |error| {
        matches!(error, Error::Killed { signal: 11, .. })
    });
}

fn a_task_whose_stack_overflows_fails_alone() {
    // Rust's runtime prints a message and aborts.
    fails_alone(Fault::StackOverflow, |error| {
        matches!(error, Error::Killed { signal: 6, .. })
    });
}

fn a_task_whose_argument_cannot_be_decoded_fails_alone() {
    fails_alone(Fault::Argument, |error| matches!(error, Error::Decode(_)));
}

fn a_task_whose_result_cannot_be_encoded_fails_alone() {
    fails_alone(Fault::UnencodableResult, |error| {
        matches!(error, Error::Encode(_))
    });
}

fn a_task_whose_result_cannot_be_decoded_fails_alone() {
    fails_alone(Fault::UndecodableResult, |error| {
        matches!(error, Error::Decode(_))
    });
}

fn a_task_whose_argument_cannot_be_encoded_is_rejected() {
    let pool = Pool::new(2).unwrap();
    let same = |n: Fussy| n;
    assert!(matches!(
        pool.apply(same, (Fussy(UNENCODABLE),)),
        Err(Error::Encode(_))
    ));
    let inputs = || (0..10).map(|n| Fussy(if n == 5 { UNENCODABLE } else { n }));
    assert!(matches!(pool.map(same, inputs()), Err(Error::Encode(_))));
    let results: Vec<_> = pool.imap(same, inputs()).collect();
    assert!(
        results
            .iter()
            .any(|result| matches!(result, Err(Error::Encode(_))))
    );
    is_well(&pool);
}

/// The task that fails, out of a hundred.
const BAD: usize = 40;

fn with_ledger(processes: usize) -> (Pool, Array<u32>) {
    let ledger = Array::zeroed(100).unwrap();
    let starts = Value::new(0).unwrap();
    let pool = Pool::builder().processes(processes);
    (
        pool.initializer(keep_ledger, (ledger.clone(), &starts))
            .build()
            .unwrap(),
        ledger,
    )
}

fn enter_or_panic(n: usize) {
    enter(n);
    assert_ne!(n, BAD, "this task fails");
}

fn enter_or_die(n: usize) {
    enter(n);
    if n == BAD {
        raise(Signal::SIGKILL).unwrap();
    }
}

fn a_map_runs_all_other_chunks_if_a_call_panics() {
    for chunk in [1, 7, 100] {
        let (pool, ledger) = with_ledger(3);
        let error = pool.map_chunked(enter_or_panic, 0..100, chunk).unwrap_err();
        assert!(matches!(error, Error::Panicked { .. }), "{error:?}");
        pool.close();
        pool.join().unwrap();
        ran_the_others(&ledger, chunk);
    }
}

fn a_map_runs_all_other_chunks_if_a_worker_dies() {
    for chunk in [1, 7, 100] {
        let (pool, ledger) = with_ledger(3);
        let error = pool.map_chunked(enter_or_die, 0..100, chunk).unwrap_err();
        assert!(
            matches!(error, Error::Killed { signal: 9, .. }),
            "{error:?}"
        );
        pool.close();
        pool.join().unwrap();
        ran_the_others(&ledger, chunk);
    }
}

/// Checks that each call was run once, but for those after the bad one in its
/// chunk, which were not.
fn ran_the_others(ledger: &Array<u32>, chunk: usize) {
    for (n, times) in ledger.to_vec().into_iter().enumerate() {
        let is_skipped = n / chunk == BAD / chunk && n > BAD;
        assert_eq!(
            times,
            u32::from(!is_skipped),
            "call {n} in chunks of {chunk}"
        );
    }
}

fn an_imap_goes_on_after_a_failure() {
    let pool = Pool::new(3).unwrap();
    let dies_at_40 = |n: i64| {
        if n == 40 {
            process::abort();
        }
        n * n
    };
    let results: Vec<_> = pool.imap(dies_at_40, 0..100).collect();
    assert_eq!(results.len(), 100);
    for (n, result) in results.into_iter().enumerate() {
        match result {
            Ok(result) => assert_eq!(result, square(n as i64)),
            Err(Error::Killed { signal: 6, .. }) => assert_eq!(n, 40),
            Err(error) => panic!("{error:?}"),
        }
    }
    let results: Vec<_> = pool.imap_unordered(dies_at_40, 0..100).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 99);
    assert_eq!(results.len(), 100);
}

fn kill_all(pids: &[i32]) {
    for &pid in pids {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
}

fn a_worker_killed_while_idle_fails_no_task() {
    let pool = Pool::new(2).unwrap();
    for _ in 0..10 {
        is_well(&pool);
        kill_all(&children(process::id())[..1]);
        // The pool may have noticed the death or not.
        assert_eq!(pool.apply(square, (3,)).unwrap(), 9);
    }
    let pool = Pool::new(1).unwrap();
    let idle = children(process::id()).len();
    for _ in 0..10 {
        kill_all(&children(process::id()));
        let again = pool.apply_async(square, (4,)).unwrap();
        assert_eq!(again.get_timeout(LONG).unwrap(), 16);
    }
    within(LONG, || children(process::id()).len() == idle).unwrap();
}

fn all_workers_killed_at_once_are_replaced() {
    let (pool, ledger) = with_ledger(4);
    for round in 1..=5 {
        let before = children(process::id());
        kill_all(&before);
        pool.map(enter, 0..100).unwrap();
        assert_eq!(ledger.to_vec(), [round; 100]);
    }
    // While tasks run: at most one fails for each worker.
    let slowly = |n: i64| {
        thread::sleep(Duration::from_millis(2));
        n * n
    };
    for _ in 0..5 {
        let results: Vec<_> = (0..100)
            .map(|n| pool.apply_async(slowly, (n,)).unwrap())
            .collect();
        results[10].wait(LONG);
        kill_all(&children(process::id()));
        let mut lost = 0;
        for (n, result) in results.into_iter().enumerate() {
            match result.get_timeout(LONG) {
                Ok(result) => assert_eq!(result, square(n as i64)),
                Err(Error::Killed { signal: 9, .. }) => lost += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(lost <= 4, "{lost} tasks lost with four workers");
        is_well(&pool);
    }
}

fn workers_may_kill_each_other() {
    let pool = Pool::new(4).unwrap();
    let kills_a_sibling = |n: i64| {
        let siblings = children(nix::unistd::getppid().as_raw() as u32);
        if n % 10 == 0 {
            let sibling = siblings[n as usize / 10 % siblings.len()];
            // An error means that it has been killed already.
            _ = kill(Pid::from_raw(sibling), Signal::SIGKILL);
        }
        n * n
    };
    let results: Vec<_> = (0..100)
        .map(|n| pool.apply_async(kills_a_sibling, (n,)).unwrap())
        .collect();
    let mut lost = 0;
    for (n, result) in results.into_iter().enumerate() {
        match result.get_timeout(LONG) {
            Ok(result) => assert_eq!(result, square(n as i64)),
            Err(Error::Killed { signal: 9, .. }) => lost += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(lost <= 10, "{lost} tasks lost to ten kills");
    is_well(&pool);
}

fn an_initializer_that_fails_is_an_error_at_build() {
    let starts = Value::new(0u32).unwrap();
    fn fails(starts: &Value<u32>, how: u8) {
        *starts.lock().unwrap() += 1;
        match how {
            0 => panic!("no such table"),
            1 => process::exit(3),
            2 => process::abort(),
            _ => raise(Signal::SIGKILL).unwrap(),
        }
    }
    for how in 0..4 {
        starts.set(0);
        let pool = Pool::builder()
            .processes(2)
            .initializer(fails, (&starts, how))
            .build();
        let Err(Error::WorkerStart(cause)) = pool else {
            panic!("{how}: {:?}", pool.err())
        };
        match (how, &*cause) {
            (0, Error::Panicked { message, .. }) => assert_eq!(message, "no such table"),
            (1, Error::Exited { code: 3, .. }) => {}
            (2, Error::Killed { signal: 6, .. }) | (3, Error::Killed { signal: 9, .. }) => {}
            _ => panic!("{how}: {cause:?}"),
        }
        assert!(starts.get() < 20, "started {} times", starts.get());
        assert_eq!(children(process::id()), []);
    }
    let pool = Pool::builder()
        .initializer(|_: Fussy| (), (Fussy(UNENCODABLE),))
        .build();
    assert!(pool.is_err());
    let pool = Pool::builder()
        .initializer(|_: Fussy| (), (Fussy(UNDECODABLE),))
        .build();
    assert!(
        matches!(pool.err(), Some(Error::WorkerStart(cause)) if matches!(*cause, Error::Decode(_)))
    );
}

fn workers_die_at_their_start() {
    if env::var_os(MARK).is_some() {
        process::exit(7);
    }
    multiprocessing::init();
    let error = Pool::new(2)
        .and_then(|pool| pool.map(square, 0..10))
        .expect_err("no worker");
    let Error::WorkerStart(cause) = &error else {
        panic!("{error:?}")
    };
    assert!(
        matches!(**cause, Error::Exited { code: 7, .. }),
        "{cause:?}"
    );
}

fn a_worker_that_keeps_dying_at_its_start_is_an_error() {
    let output = itself("pool::workers_die_at_their_start").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn an_initializer_that_fails_later_is_an_error_for_every_task() {
    let starts = Value::new(0u32).unwrap();
    let fails_later = |starts: &Value<u32>| {
        let mut starts = starts.lock().unwrap();
        *starts += 1;
        if *starts > 2 {
            process::exit(3);
        }
    };
    let pool = Pool::builder()
        .processes(2)
        .initializer(fails_later, (&starts,))
        .build()
        .unwrap();
    is_well(&pool);
    let waiting: Vec<_> = (0..10)
        .map(|n| pool.apply_async(spins, (n,)).unwrap())
        .collect();
    kill_all(&children(process::id()));
    for result in waiting {
        let error = result.get_timeout(LONG).unwrap_err();
        assert!(
            matches!(error, Error::WorkerStart(_) | Error::Killed { .. }),
            "{error:?}"
        );
    }
    let error = pool.map(square, 0..10).unwrap_err();
    assert!(matches!(error, Error::WorkerStart(_)), "{error:?}");
    drop(pool);
    assert!(starts.get() < 100, "started {} times", starts.get());
}

fn sum_in_pool(n: i64) -> i64 {
    Pool::new(2)
        .unwrap()
        .map(square, 0..n)
        .unwrap()
        .into_iter()
        .sum()
}

fn pools_work_inside_processes() {
    let child = Process::new(sum_in_pool, (10,)).start().unwrap();
    assert_eq!(child.join().unwrap(), 285);
}

fn pools_work_inside_pool_workers() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(
        pool.map_chunked(sum_in_pool, [10, 4, 3], 1).unwrap(),
        [285, 14, 5]
    );
    let in_process = |n| Process::new(square, (n,)).start().unwrap().join().unwrap();
    assert_eq!(pool.map(in_process, [1, 2, 3]).unwrap(), [1, 4, 9]);
}

fn workers_ignore_sigint() {
    let pool = Pool::new(2).unwrap();
    let workers = children(process::id());
    for &worker in &workers {
        kill(Pid::from_raw(worker), Signal::SIGINT).unwrap();
    }
    is_well(&pool);
    assert_eq!(children(process::id()), workers);
}

fn busy_program() {
    // A shell starts background programs with SIGINT ignored.
    act_by_default(Signal::SIGINT);
    multiprocessing::init();
    let idle = Pool::new(2).unwrap();
    let (pool, begun) = with_gate(2);
    let spins = |n| {
        GATE.get().unwrap().put(()).unwrap();
        spins(n);
    };
    let spinning = pool.map_async(spins, 0..100).unwrap();
    (0..2).for_each(|_| begun.get().unwrap());
    println!("busy");
    // It never returns.
    spinning.get().unwrap();
    drop(idle);
}

/// Checks that a signal ends a program and all its workers. `send` sends it to the
/// program alone, or to its process group, as a terminal does.
fn ends_by(signal: Signal, send: fn(Pid, Signal) -> nix::Result<()>) {
    let mut program = itself("pool::busy_program")
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "busy\n");
    assert_eq!(children(program.id()).len(), 4);
    let start = Instant::now();
    send(Pid::from_raw(program.id() as i32), signal).unwrap();
    let status = program.wait().unwrap();
    reap_orphans();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "it took {:?}",
        start.elapsed()
    );
    assert_eq!(status.signal(), Some(signal as i32));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut program.stderr.unwrap(), &mut text).unwrap();
    assert_eq!(text, "", "the workers print nothing");
}

fn ctrl_c_ends_a_program_with_its_pool() {
    ends_by(Signal::SIGINT, killpg);
    ends_by(Signal::SIGINT, kill);
}

fn sigterm_ends_a_program_with_its_pool() {
    ends_by(Signal::SIGTERM, killpg);
    ends_by(Signal::SIGTERM, kill);
}

fn threads_may_share_a_pool() {
    let pool = Pool::new(3).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    is_well(&pool);
                }
            });
        }
    });
}

fn a_pool_of_0_workers_or_0_tasks_is_rejected() {
    assert!(matches!(Pool::new(0).err(), Some(Error::InvalidInput(_))));
    let pool = Pool::builder().max_tasks_per_child(0).build();
    assert!(matches!(pool.err(), Some(Error::InvalidInput(_))));
}
