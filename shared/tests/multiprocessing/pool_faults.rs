//! Pool: a task that changes its process, a worker that is stopped, a lack of
//! memory or descriptors, and a parent that has forked or given up its privileges.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use std::{env, panic, thread};

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, raise, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, Uid, fork, geteuid, setuid};
use serde::{Deserialize, Deserializer, Serialize};
use shared::multiprocessing::{self, AsyncResult, Error, Pool};

use crate::harness::{children, is_stopped, itself, reap_orphans, skip, within};
use crate::pool::{GATE, LONG, SHORT, is_well, spins, square, with_gate};
use crate::queue::address_space;

pub const TESTS: &[(&str, fn())] = named![
    a_parent_that_gives_up_its_privileges_can_drop_its_pool,
    a_pool_drops_workers_that_are_stopped,
    a_task_may_close_all_descriptors,
    a_file_that_gets_the_number_of_a_closed_descriptor_is_not_written_to,
    a_worker_without_descriptors_ends_with_its_parent,
    a_task_may_change_its_process,
    a_task_that_calls_exec_fails_alone,
    a_task_that_becomes_a_daemon_fails_alone,
    a_task_that_forks_has_one_result,
    the_error_of_a_killed_worker_says_unknown_if_sigchld_is_ignored,
    the_error_of_a_killed_worker_is_true_beside_a_handler_that_reaps_all,
    a_forked_copy_of_a_pool_returns_errors_and_ends_no_worker,
    an_argument_larger_than_the_memory_of_a_worker_is_an_error,
    results_larger_than_the_memory_of_the_parent_are_an_error,
    an_initializer_that_exits_with_0_is_an_error_at_build,
    an_error_for_lack_of_descriptors_names_the_limit,
    dead_workers_and_used_up_workers_are_both_replaced,
    a_task_goes_to_another_worker_if_its_worker_is_stopped,
    a_task_of_a_stopped_worker_goes_to_another_though_the_pool_is_busy,
    a_large_argument_goes_to_another_worker_if_its_worker_is_stopped,
    no_call_waits_long_for_a_stopped_worker_except_for_its_result,
    a_worker_that_is_stopped_as_it_exits_is_replaced,
    a_pool_goes_on_when_all_its_stopped_workers_continue,
    decoding_a_result_blocks_no_other_thread,
    next_timeout_waits_for_one_slow_item_at_most,
    the_message_of_a_caught_panic_is_not_in_a_later_error,
    a_pool_has_as_many_descriptors_and_threads_as_its_docs_say,
];

pub const PROGRAMS: &[(&str, fn())] = named![
    gives_up_its_privileges,
    has_workers_without_descriptors,
    has_little_memory,
];

/// Calls `act`, which must not take long.
fn at_once<R>(act: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = act();
    let time = start.elapsed();
    assert!(time < Duration::from_secs(2), "it took {time:?}");
    result
}

fn succeeds(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {text}", output.status);
}

fn closes_all_and_waits() {
    closes_all(0);
    waits_at_gate();
}

fn waits_at_gate() {
    GATE.get().unwrap().get().unwrap();
}

/// Closes all descriptors but stdin, stdout and stderr, as a daemon does.
fn closes_all(n: i64) -> i64 {
    // SAFETY: it closes descriptors that Rust objects own. The library promises
    // that a worker works without them, and that is under test.
    assert_eq!(unsafe { libc::close_range(3, u32::MAX, 0) }, 0);
    n * n
}

fn send(pids: &[i32], signal: Signal) {
    for &pid in pids {
        kill(Pid::from_raw(pid), signal).unwrap();
    }
}

fn stop(pids: &[i32]) {
    send(pids, Signal::SIGSTOP);
    within(LONG, || pids.iter().all(|&pid| is_stopped(pid as u32))).unwrap();
}

fn a_parent_that_gives_up_its_privileges_can_drop_its_pool() {
    if !geteuid().is_root() {
        return skip("only root can give up its privileges");
    }
    succeeds(
        &itself("pool_faults::gives_up_its_privileges")
            .output()
            .unwrap(),
    );
    reap_orphans();
}

fn gives_up_its_privileges() {
    multiprocessing::init();
    let pools = [(); 2].map(|()| Pool::new(2).unwrap());
    // In the first pool one worker is busy and one idle; in the second one is
    // stopped.
    let result = pools[0].apply_async(spins, (0,)).unwrap();
    let idle = Pool::new(1).unwrap();
    stop(&children(process::id())[2..3]);
    // This worker can be ended in no way before its task returns.
    let (lost, gate) = with_gate(1);
    let held = lost.apply_async(closes_all_and_waits, ()).unwrap();
    let nobody = Uid::from_raw(12_345);
    setuid(nobody).unwrap();
    assert!(kill(Pid::from_raw(children(process::id())[0]), None).is_err());

    at_once(|| idle.terminate());
    at_once(|| drop(pools));
    assert!(matches!(result.get(), Err(Error::Terminated)));
    assert_eq!(children(process::id()).len(), 1);
    let start = Instant::now();
    drop(lost);
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(matches!(held.get(), Err(Error::Terminated)));
    gate.put(()).unwrap();
    within(LONG, || children(process::id()).is_empty()).unwrap();
}

fn a_pool_drops_workers_that_are_stopped() {
    for act in [drop as fn(Pool), |pool| pool.terminate()] {
        let pool = Pool::new(3).unwrap();
        let results = [0, 1].map(|_| pool.apply_async(spins, (0,)).unwrap());
        stop(&children(process::id()));
        at_once(|| act(pool));
        assert_eq!(children(process::id()), []);
        assert!(results.iter().all(AsyncResult::ready));
    }
}

fn a_task_may_close_all_descriptors() {
    let pool = Pool::new(2).unwrap();
    let workers = children(process::id());
    for n in 0..200 {
        let result = pool.apply_async(closes_all, (n,)).unwrap();
        // With some of these delays the pool sleeps when the task returns.
        thread::sleep(Duration::from_micros(n as u64 % 5 * 100));
        assert_eq!(result.get_timeout(LONG).unwrap(), square(n));
    }
    let slowly = |n: i64| {
        thread::sleep(Duration::from_millis(2));
        closes_all(n)
    };
    for n in 0..50 {
        let result = pool.apply_async(slowly, (n,)).unwrap();
        assert_eq!(at_once(|| result.get_timeout(LONG)).unwrap(), square(n));
    }
    is_well(&pool);
    assert_eq!(children(process::id()), workers, "no worker was replaced");
    pool.close();
    at_once(|| pool.join()).unwrap();
}

fn a_file_that_gets_the_number_of_a_closed_descriptor_is_not_written_to() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.file", process::id()));
    fs::write(&path, "mine").unwrap();
    let pool = Pool::new(1).unwrap();
    let opens = |path: PathBuf| {
        closes_all(0);
        static FILES: Mutex<Vec<File>> = Mutex::new(Vec::new());
        for _ in 0..20 {
            let file = File::options().append(true).open(&path).unwrap();
            FILES.lock().unwrap().push(file);
        }
    };
    pool.apply(opens, (path.clone(),)).unwrap();
    let slowly = |n: u64| thread::sleep(Duration::from_millis(n));
    for _ in 0..20 {
        pool.apply(slowly, (2,)).unwrap();
    }
    // The worker must not write to it as it exits, either.
    pool.close();
    pool.join().unwrap();
    let text = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(text, b"mine");
}

fn has_workers_without_descriptors() {
    multiprocessing::init();
    let pool = Pool::new(2).unwrap();
    let begun = pool.map_async(closes_all, 0..10).unwrap();
    begun.get().unwrap();
    let spinning = pool
        .apply_async(|| spins(closes_all(0) as u64), ())
        .unwrap();
    pool.map(closes_all, 0..1).unwrap();
    println!("busy");
    spinning.get().unwrap();
}

fn a_worker_without_descriptors_ends_with_its_parent() {
    let mut program = itself("pool_faults::has_workers_without_descriptors")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(program.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "busy\n");
    assert_eq!(children(program.id()).len(), 2);
    program.kill().unwrap();
    program.wait().unwrap();
    at_once(reap_orphans);
}

fn changes_its_process(how: u8) {
    match how {
        0 => env::set_current_dir("/").unwrap(),
        // SAFETY: nothing but what is printed afterwards is lost.
        1 => assert_eq!(unsafe { libc::close(1) }, 0),
        2 => SigSet::all().thread_block().unwrap(),
        3 => setrlimit(Resource::RLIMIT_NOFILE, 0, 0).unwrap(),
        4 => setrlimit(Resource::RLIMIT_FSIZE, 0, 0).unwrap(),
        5 => drop(thread::spawn(|| panic!("in a thread of the task")).join()),
        _ => drop(thread::spawn(|| spins(0))),
    }
}

fn a_task_may_change_its_process() {
    for how in 0..7 {
        let pool = Pool::new(1).unwrap();
        let workers = children(process::id());
        pool.apply(changes_its_process, (how,)).unwrap();
        is_well(&pool);
        let text = pool.apply(|text: String| text, ("x".repeat(1 << 20),));
        assert_eq!(text.unwrap().len(), 1 << 20);
        assert_eq!(children(process::id()), workers);
        at_once(|| drop(pool));
    }
}

fn a_task_that_calls_exec_fails_alone() {
    let pool = Pool::new(2).unwrap();
    let becomes = || -> () { panic!("{}", Command::new("true").exec()) };
    for _ in 0..5 {
        let error = pool.apply(becomes, ()).unwrap_err();
        assert!(matches!(error, Error::Exited { code: 0, .. }), "{error:?}");
        is_well(&pool);
    }
    // The other program ends with the pool, too.
    let becomes = || -> () { panic!("{}", Command::new("sleep").arg("1000").exec()) };
    let result = pool.apply_async(becomes, ()).unwrap();
    let sleeps = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
    };
    within(LONG, || children(process::id()).iter().any(sleeps)).unwrap();
    at_once(|| drop(pool));
    assert!(matches!(result.get(), Err(Error::Terminated)));
}

fn forks() -> ForkResult {
    // SAFETY: a worker has one thread.
    unsafe { fork() }.unwrap()
}

fn a_task_that_becomes_a_daemon_fails_alone() {
    let pool = Pool::new(2).unwrap();
    let becomes_a_daemon = || {
        if let ForkResult::Parent { .. } = forks() {
            process::exit(0);
        }
        thread::sleep(SHORT);
    };
    for _ in 0..5 {
        let error = pool.apply(becomes_a_daemon, ()).unwrap_err();
        assert!(matches!(error, Error::Exited { code: 0, .. }), "{error:?}");
        is_well(&pool);
    }
    drop(pool);
    reap_orphans();
}

fn a_task_that_forks_has_one_result() {
    let pool = Pool::new(2).unwrap();
    // The copy returns from the task before the worker, panics, or returns later.
    let forks_and = |n: i64| match (forks(), n % 3) {
        (ForkResult::Parent { child }, 0) => {
            waitpid(child, None).unwrap();
            n
        }
        (ForkResult::Parent { .. }, _) => n,
        (ForkResult::Child, 1) => panic!("a copy that panics"),
        (ForkResult::Child, _) => {
            thread::sleep(Duration::from_millis(2));
            -1
        }
    };
    let all: Vec<_> = (0..30).collect();
    assert_eq!(pool.map_chunked(forks_and, 0..30, 1).unwrap(), all);
    is_well(&pool);
    let workers = children(process::id());
    assert_eq!(workers.len(), 2);
    drop(pool);
    reap_orphans();
}

/// Kills workers while this process cannot learn how its children end.
fn its_end_is_unknown() {
    let pool = Pool::new(2).unwrap();
    for _ in 0..5 {
        let killed = || raise(Signal::SIGKILL).unwrap();
        let error = pool.apply(killed, ()).unwrap_err();
        assert!(matches!(error, Error::ExitUnknown { .. }), "{error:?}");
        assert!(error.to_string().contains("unknown"), "{error}");
        let error = pool.apply(|| -> () { process::exit(3) }, ()).unwrap_err();
        assert!(matches!(error, Error::ExitUnknown { .. }), "{error:?}");
        is_well(&pool);
    }
    let fails = || -> () { process::exit(3) };
    let failing = Pool::builder().processes(2).initializer(fails, ()).build();
    let Err(Error::WorkerStart(cause)) = failing else {
        panic!("{:?}", failing.err());
    };
    assert!(matches!(*cause, Error::ExitUnknown { .. }), "{cause:?}");
    at_once(|| drop(pool));
}

fn the_error_of_a_killed_worker_says_unknown_if_sigchld_is_ignored() {
    // SAFETY: no handler runs.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
    its_end_is_unknown();
}

fn the_error_of_a_killed_worker_is_true_beside_a_handler_that_reaps_all() {
    // SAFETY: the handler makes only async-signal-safe calls.
    unsafe { signal(Signal::SIGCHLD, SigHandler::Handler(reaps_all)) }.unwrap();
    extern "C" fn reaps_all(_: i32) {
        // SAFETY: a null pointer asks for no status.
        while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
    }
    // If the pool reaps the worker before the handler does, it knows how it ended.
    let pool = Pool::new(2).unwrap();
    for _ in 0..20 {
        let killed = || raise(Signal::SIGKILL).unwrap();
        let error = pool.apply(killed, ()).unwrap_err();
        let truth = matches!(
            error,
            Error::ExitUnknown { .. } | Error::Killed { signal: 9, .. }
        );
        assert!(truth, "{error:?}");
        is_well(&pool);
    }
    at_once(|| drop(pool));
}

/// Runs `act` in a copy of this process and exits, with 0 if it did not panic.
fn exits_after(act: impl FnOnce()) -> ! {
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(act));
    // SAFETY: it ends the copy at once, without running the test's destructors.
    unsafe { libc::_exit(i32::from(outcome.is_err())) };
}

/// Checks that a copy exits with 0.
fn exits_well(copy: Pid) {
    let ended = || {
        let stat = fs::read_to_string(format!("/proc/{copy}/stat"));
        stat.is_ok_and(|stat| stat.contains(") Z "))
    };
    if within(Duration::from_secs(10), ended).is_err() {
        kill(copy, Signal::SIGKILL).unwrap();
    }
    assert_eq!(waitpid(copy, None), Ok(WaitStatus::Exited(copy, 0)));
}

fn is_rejected<T>(result: Result<T, Error>) {
    let error = result.err().expect("a copy gets an error");
    let text = error.to_string();
    assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
    assert!(text.contains("fork"), "{text}");
}

fn a_forked_copy_of_a_pool_returns_errors_and_ends_no_worker() {
    let (pool, gate) = with_gate(2);
    let workers = children(process::id());
    for _ in 0..20 {
        let done = pool.apply_async(square, (3,)).unwrap();
        assert!(done.wait(LONG));
        let waiting = [(); 2].map(|()| pool.apply_async(waits_at_gate, ()).unwrap());
        // The manager is busy, so it may hold a lock at the fork.
        let busy = pool.map_async(square, 0..10_000).unwrap();
        // SAFETY: the C library keeps its heap usable in the copy. A lock may be
        // held there without end; that the pool takes none is under test.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => exits_after(move || {
                is_rejected(pool.apply(square, (3,)));
                is_rejected(pool.map(square, 0..3));
                is_rejected(pool.map_async(square, 0..3));
                is_rejected(pool.imap(square, 0..3).next().unwrap());
                assert!(!format!("{pool:?} {waiting:?}").is_empty());
                for result in waiting {
                    assert!(result.ready() && result.wait(LONG));
                    is_rejected(result.get_timeout(LONG));
                    is_rejected(result.get());
                }
                assert_eq!(done.get().unwrap(), 9);
                pool.close();
                is_rejected(pool.join());
                pool.terminate();
                is_rejected(pool.join());
                drop(pool);
                drop(busy);
                // The copy can make a pool of its own.
                let own = Pool::new(1).unwrap();
                assert_eq!(own.apply(square, (4,)).unwrap(), 16);
            }),
            ForkResult::Parent { child } => exits_well(child),
        }
        (0..2).for_each(|_| gate.put(()).unwrap());
        for result in waiting {
            result.get_timeout(LONG).unwrap();
        }
        assert_eq!(busy.get().unwrap().len(), 10_000);
        is_well(&pool);
        assert_eq!(children(process::id()), workers);
    }
}

fn limit_memory(more: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, address_space() + more, hard).unwrap();
}

const MIB: usize = 1 << 20;

/// Checks that a task fails with an error that names the size in bytes.
fn lacks_memory<T>(result: Result<T, Error>, size: usize) {
    let error = result.err().expect("there is not enough memory");
    let text = error.to_string();
    assert!(text.contains("memory"), "{text}");
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let named = numbers.filter_map(|number| number.parse().ok());
    assert!(
        named
            .into_iter()
            .any(|named: usize| (size..size + 1024).contains(&named)),
        "{text}"
    );
}

fn an_argument_larger_than_the_memory_of_a_worker_is_an_error() {
    let pool = Pool::builder()
        .processes(2)
        .initializer(limit_memory, (64 << 20,))
        .build()
        .unwrap();
    let workers = children(process::id());
    for _ in 0..3 {
        let text = "x".repeat(100 * MIB);
        let result = pool.apply_async(|text: String| text.len(), (text,));
        is_well(&pool);
        lacks_memory(result.unwrap().get(), 100 * MIB);
        assert_eq!(
            pool.apply(|text: String| text.len(), ("x".repeat(MIB),))
                .unwrap(),
            MIB
        );
    }
    assert_eq!(children(process::id()), workers);
}

fn results_larger_than_the_memory_of_the_parent_are_an_error() {
    succeeds(&itself("pool_faults::has_little_memory").output().unwrap());
}

fn has_little_memory() {
    multiprocessing::init();
    let pool = Pool::new(2).unwrap();
    is_well(&pool);
    let workers = children(process::id());
    limit_memory(64 << 20);
    let makes = |len: usize| "x".repeat(len);
    for _ in 0..3 {
        // One large result, many of a MiB, and many small ones.
        let result = pool.apply_async(makes, (100 * MIB,)).unwrap();
        is_well(&pool);
        lacks_memory(result.get(), 100 * MIB);
        lacks_memory(pool.map_chunked(makes, [MIB; 100], 1), MIB);
        let small = pool.map_chunked(makes, [16 << 10; 6_400], 1);
        lacks_memory(small, 16 << 10);
        // The memory is free again.
        assert_eq!(pool.apply(makes, (8 * MIB,)).unwrap().len(), 8 * MIB);
        is_well(&pool);
    }
    assert_eq!(children(process::id()), workers);
}

fn an_initializer_that_exits_with_0_is_an_error_at_build() {
    let exits = || -> () { process::exit(0) };
    let pool = Pool::builder().processes(2).initializer(exits, ()).build();
    let Err(Error::WorkerStart(cause)) = pool else {
        panic!("{:?}", pool.err());
    };
    assert!(matches!(*cause, Error::Exited { code: 0, .. }), "{cause:?}");
    assert_eq!(children(process::id()), []);
}

fn an_error_for_lack_of_descriptors_names_the_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 256, hard).unwrap();
    let error = Pool::new(1_000).err().unwrap();
    assert!(matches!(error, Error::WorkerStart(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("ulimit -n"), "{text}");
    assert_eq!(children(process::id()), []);
    is_well(&Pool::new(10).unwrap());
}

fn dead_workers_and_used_up_workers_are_both_replaced() {
    let pool = Pool::builder()
        .processes(2)
        .max_tasks_per_child(3)
        .build()
        .unwrap();
    let some_die = |n: i64| match n % 5 {
        0 => process::abort(),
        1 => process::exit(0),
        _ => n * n,
    };
    let results: Vec<_> = pool.imap(some_die, 0..100).collect();
    assert_eq!(results.len(), 100);
    for (n, result) in (0..).zip(results) {
        match (n % 5, result) {
            (0, Err(Error::Killed { signal: 6, .. })) => {}
            (1, Err(Error::Exited { code: 0, .. })) => {}
            (2.., Ok(result)) => assert_eq!(result, square(n)),
            (_, other) => panic!("{n}: {other:?}"),
        }
    }
    is_well(&pool);
}

fn a_task_goes_to_another_worker_if_its_worker_is_stopped() {
    let pool = Pool::new(2).unwrap();
    let workers = children(process::id());
    for worker in [0, 1] {
        stop(&workers[worker..=worker]);
        for n in 0..20 {
            assert_eq!(pool.apply(square, (n,)).unwrap(), square(n));
        }
        is_well(&pool);
        send(&workers, Signal::SIGCONT);
        // The same when no thread waits, and one only asks now and then.
        stop(&workers[worker..=worker]);
        for n in 0..5 {
            let result = pool.apply_async(square, (n,)).unwrap();
            within(LONG, || result.ready()).unwrap();
        }
        send(&workers, Signal::SIGCONT);
        is_well(&pool);
    }
    assert_eq!(children(process::id()), workers);
}

fn a_task_of_a_stopped_worker_goes_to_another_though_the_pool_is_busy() {
    let pool = Pool::new(3).unwrap();
    let nap = |n: u64| thread::sleep(Duration::from_millis(n));
    stop(&children(process::id())[..1]);
    let left = AtomicUsize::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20 {
                    pool.apply(nap, (1,)).unwrap();
                }
                left.fetch_sub(1, Ordering::Relaxed);
                // Keeps the pool busy until the other thread has finished.
                while left.load(Ordering::Relaxed) > 0 {
                    pool.apply(nap, (1,)).unwrap();
                }
            });
        }
    });
}

fn a_large_argument_goes_to_another_worker_if_its_worker_is_stopped() {
    let pool = Pool::new(2).unwrap();
    let workers = children(process::id());
    let text = "x".repeat(4 * MIB);
    let len = |text: String| text.len();
    for round in 0..6 {
        stop(&workers[round % 2..=round % 2]);
        let results = [(); 3].map(|()| pool.apply_async(len, (text.clone(),)).unwrap());
        for result in results {
            assert_eq!(result.get_timeout(LONG).unwrap(), text.len());
        }
        send(&workers, Signal::SIGCONT);
        is_well(&pool);
    }
    assert_eq!(children(process::id()), workers);
}

fn no_call_waits_long_for_a_stopped_worker_except_for_its_result() {
    let (pool, gate) = with_gate(2);
    let workers = children(process::id());
    let held = pool.apply_async(waits_at_gate, ()).unwrap();
    let mut later = pool.imap(square, 0..);
    let first = later.next().unwrap().unwrap();
    assert_eq!(first, 0);
    stop(&workers);
    let more = at_once(|| pool.map_async(square, 0..1_000)).unwrap();
    let large = at_once(|| pool.apply_async(|text: String| text.len(), ("x".repeat(MIB),)));
    let large = large.unwrap();
    at_once(|| assert!(!held.ready() && !held.wait(SHORT)));
    at_once(|| assert!(matches!(held.get_timeout(SHORT), Err(Error::Timeout))));
    at_once(|| assert!(matches!(more.get_timeout(SHORT), Err(Error::Timeout))));
    // Results that came before the stop can be taken.
    while let Some(Ok(_)) = at_once(|| later.next_timeout(SHORT)) {}
    at_once(|| format!("{pool:?} {held:?} {more:?} {large:?}"));
    drop(later);
    at_once(|| pool.close());
    assert!(matches!(pool.apply(square, (1,)), Err(Error::Closed)));

    send(&workers, Signal::SIGCONT);
    gate.put(()).unwrap();
    held.get_timeout(LONG).unwrap();
    assert_eq!(more.get_timeout(LONG).unwrap().len(), 1_000);
    assert_eq!(large.get_timeout(LONG).unwrap(), MIB);
    pool.join().unwrap();
}

fn stops_at_its_end() {
    extern "C" fn stops() {
        raise(Signal::SIGSTOP).unwrap();
    }
    // SAFETY: the function stays valid until the process has exited.
    assert_eq!(unsafe { libc::atexit(stops) }, 0);
}

fn a_worker_that_is_stopped_as_it_exits_is_replaced() {
    let pool = Pool::builder()
        .processes(1)
        .max_tasks_per_child(1)
        .initializer(stops_at_its_end, ())
        .build()
        .unwrap();
    for n in 0..5 {
        let result = pool.apply_async(square, (n,)).unwrap();
        assert_eq!(result.get_timeout(LONG).unwrap(), square(n));
    }
    at_once(|| drop(pool));
    assert_eq!(children(process::id()), []);
}

fn a_pool_goes_on_when_all_its_stopped_workers_continue() {
    for processes in [1, 3] {
        let pool = Pool::new(processes).unwrap();
        let workers = children(process::id());
        for _ in 0..3 {
            stop(&workers);
            let result = pool.map_async(square, 0..100).unwrap();
            assert!(!result.wait(Duration::from_millis(500)));
            send(&workers, Signal::SIGCONT);
            result.get_timeout(LONG).unwrap();
            is_well(&pool);
        }
        assert_eq!(children(process::id()), workers);
    }
}

/// For the next value that is decoded: it reports that it has begun, and waits.
static DECODING: Mutex<Option<(Sender<()>, Receiver<()>)>> = Mutex::new(None);

#[derive(Serialize)]
struct Slow(u8);

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let waits = DECODING.lock().unwrap().take();
        if let Some((begun, go_on)) = waits {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
        u8::deserialize(deserializer).map(Slow)
    }
}

fn decoding_a_result_blocks_no_other_thread() {
    let pool = Pool::new(1).unwrap();
    let result = pool.apply_async(|| Slow(7), ()).unwrap();
    assert!(result.wait(LONG));
    let (begun, begins) = mpsc::channel();
    let (goes_on, go_on) = mpsc::channel();
    *DECODING.lock().unwrap() = Some((begun, go_on));
    thread::scope(|scope| {
        let getting = scope.spawn(|| result.get_timeout(LONG).unwrap().0);
        begins.recv().unwrap();
        let (looked, looks) = mpsc::channel();
        let result = &result;
        scope.spawn(move || {
            let text = format!("{result:?}");
            let again = result.get_timeout(SHORT).unwrap();
            looked.send((result.ready(), text, again.0)).unwrap();
        });
        let seen = looks.recv_timeout(LONG);
        is_well(&pool);
        goes_on.send(()).unwrap();
        assert_eq!(getting.join().unwrap(), 7);
        let (ready, text, again) = seen.expect("it waited for a value that another thread decodes");
        assert!(ready && again == 7 && text.contains("true"), "{text}");
    });
}

fn next_timeout_waits_for_one_slow_item_at_most() {
    let pool = Pool::new(2).unwrap();
    let slow = (0..100).inspect(|_| thread::sleep(2 * SHORT));
    let mut results = pool.imap(square, slow);
    for n in 0..3 {
        let result = loop {
            let next = at_once(|| results.next_timeout(Duration::from_millis(10)));
            match next.unwrap() {
                Err(Error::Timeout) => {}
                result => break result,
            }
        };
        assert_eq!(result.unwrap(), square(n));
    }
    drop(results);
    is_well(&pool);
}

fn the_message_of_a_caught_panic_is_not_in_a_later_error() {
    let pool = Pool::new(1).unwrap();
    let catches = || panic::catch_unwind(|| panic!("it was caught")).is_err();
    // `resume_unwind` does not call the panic hook.
    let resumes = || -> () { panic::resume_unwind(Box::new("its own text")) };
    for _ in 0..3 {
        assert!(pool.apply(catches, ()).unwrap());
        let error = pool.apply(resumes, ()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("caught"), "{text}");
        assert!(text.contains("its own text"), "{text}");
    }
    let catches_and_fails = || -> () {
        assert!(panic::catch_unwind(|| panic!("it was caught")).is_err());
        panic!("it was not")
    };
    let error = pool.apply(catches_and_fails, ()).unwrap_err();
    assert!(error.to_string().contains("it was not"), "{error}");
}

fn a_pool_has_as_many_descriptors_and_threads_as_its_docs_say() {
    let count = |folder| fs::read_dir(folder).unwrap().count();
    let (fds, threads) = ("/proc/self/fd", "/proc/self/task");
    let before = (count(fds), count(threads));
    for processes in [1, 2, 8] {
        let pool = Pool::new(processes).unwrap();
        is_well(&pool);
        let now = (count(fds), count(threads));
        assert_eq!(now, (before.0 + 3 + 3 * processes, before.1 + 2));
        drop(pool);
        within(LONG, || (count(fds), count(threads)) == before).unwrap();
    }
}
