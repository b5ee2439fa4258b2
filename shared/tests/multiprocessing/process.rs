//! Process: its result, its failures, its end, its arguments.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, hint, io, panic, thread};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, raise, sigaction};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, Uid, dup, dup2_raw, fork, getuid, setresuid};
use serde::{Deserialize, Serialize};
use shared::multiprocessing::{self, Array, Connection, Error, Pool, Process, Queue, Value, pipe};

use crate::fussy::{Fussy, UNDECODABLE, UNENCODABLE};
use crate::harness::{MARK, children, itself, reap_orphans, skip, within};

pub const TESTS: &[(&str, fn())] = named![
    the_result_comes_through_join,
    a_result_of_64_mib_comes_through_join,
    a_result_that_nobody_joins_does_not_hold_the_child_up,
    a_panic_is_an_error_with_message_place_and_backtrace,
    a_panic_without_words_is_an_error,
    a_panic_is_printed_as_in_any_program,
    a_panic_that_the_target_caught_is_not_told_of_another_one,
    a_signal_is_an_error_that_names_it,
    an_exit_is_an_error_that_names_its_code,
    exitcode_is_signed_as_in_python,
    a_core_dump_is_an_error_that_names_the_signal,
    an_exit_status_that_something_else_collected_is_unknown,
    an_exit_status_is_unknown_where_sigchld_is_ignored,
    an_exit_status_is_unknown_beside_a_thread_that_waits_for_every_child,
    join_timeout_tells_whether_it_has_ended,
    a_child_that_is_asked_whether_it_lives_leaves_no_zombie,
    what_acts_on_a_child_is_a_no_op_once_it_has_ended,
    kill_spares_whoever_has_the_number_now,
    start_before_init_is_an_error,
    a_child_that_dies_before_its_handshake_is_an_error,
    a_child_that_never_calls_init_is_an_error,
    dropping_a_handle_waits_for_the_child,
    dropping_the_handle_of_a_daemon_kills_it,
    dropping_a_handle_that_fork_copied_does_nothing,
    a_copy_that_fork_made_of_a_target_does_not_answer_in_its_place,
    a_result_that_memory_is_missing_for_is_an_error_that_says_so,
    a_child_that_may_not_be_sent_a_signal_is_killed_all_the_same,
    children_start_children,
    a_child_outlives_the_thread_that_started_it,
    when_the_parent_is_killed_every_descendant_is_gone_within_a_second,
    starting_is_safe_in_a_program_of_many_threads,
    a_child_has_a_name_a_number_and_a_life,
    a_child_keeps_the_arguments_and_reads_nothing,
    a_child_holds_no_descriptor_that_it_was_not_given,
    a_child_inherits_no_descriptor_that_is_not_close_on_exec,
    a_child_starts_with_no_signal_blocked_and_no_handler,
    what_the_parent_ignores_the_child_ignores_but_not_sigterm,
    a_program_that_a_pools_task_starts_ends_by_ctrl_c,
    a_target_that_closes_its_socket_is_an_error_that_says_so,
    an_orphan_ends_in_silence,
    a_child_that_cannot_receive_its_arguments_is_an_error_that_says_why,
    targets_run_outside_the_runtime_that_main_builds,
    the_mark_reaches_no_other_program,
    a_program_that_inherits_the_mark_starts_as_a_parent,
    up_to_eight_arguments_cross,
    any_serde_type_crosses,
    handles_cross_inside_other_values,
    three_hundred_handles_cross_at_once,
    an_argument_that_cannot_be_encoded_is_an_error_at_start,
    an_argument_that_cannot_be_decoded_is_an_error_at_join,
    a_result_that_cannot_cross_is_an_error_at_join,
    a_handle_encoded_anywhere_else_is_an_error_that_says_so,
];

pub const PROGRAMS: &[(&str, fn())] = named![
    starts_before_init,
    dies_before_its_handshake,
    never_calls_init,
    family,
    first_of_its_namespace,
    prints_its_panic,
    counts_its_descriptors,
    lacks_close_range,
    ends_after_start,
    lets_no_descriptors_in,
    builds_a_runtime,
    has_threads_before_init,
    starts_a_process,
];

fn the_result_comes_through_join() {
    let child = Process::new(|text: String| text.len(), ("four".to_string(),));
    assert_eq!(child.start().unwrap().join().unwrap(), 4);
    let child = Process::new(
        |a: u8, b: String| b.len() + a as usize,
        (1, "x".to_string()),
    );
    assert_eq!(child.start().unwrap().join().unwrap(), 2);
    Process::new(|| (), ()).start().unwrap().join().unwrap();
}

const MIB: usize = 1 << 20;

fn a_result_of_64_mib_comes_through_join() {
    let child = Process::new(|len: usize| vec![7u8; len], (64 * MIB,))
        .start()
        .unwrap();
    let result = child.join().unwrap();
    assert!(result.len() == 64 * MIB && result.iter().all(|&byte| byte == 7));
}

fn a_result_that_nobody_joins_does_not_hold_the_child_up() {
    let child = Process::new(|len: usize| vec![7u8; len], (MIB,))
        .start()
        .unwrap();
    within(Duration::from_secs(20), || !child.is_alive()).unwrap();
    assert_eq!(child.exitcode(), Some(0));
    assert_eq!(child.join().unwrap().len(), MIB);
}

const SPILL: u32 = line!() + 2;
fn spill(what: String) -> u64 {
    panic!("no {what} left")
}

fn a_panic_is_an_error_with_message_place_and_backtrace() {
    let child = Process::new(spill, ("milk".to_string(),)).start().unwrap();
    let its = child.pid();
    let error = child.join().unwrap_err();
    let told = error.to_string();
    let Error::Panicked {
        pid,
        message,
        location,
        backtrace,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((pid, message.as_str()), (its, "no milk left"));
    assert!(
        location.starts_with(&format!("{}:{SPILL}:", file!())),
        "{location}"
    );
    assert!(backtrace.contains("spill"), "{backtrace}");
    for part in [its.to_string(), message, location] {
        assert!(told.contains(&part), "{told:?} does not tell {part:?}");
    }
}

fn a_panic_without_words_is_an_error() {
    let silent = |how: u8| -> u8 {
        match how {
            0 => panic::panic_any(7),
            1 => panic::resume_unwind(Box::new("unwound")),
            _ => panic!(),
        }
    };
    for how in 0..3 {
        let error = Process::new(silent, (how,))
            .start()
            .unwrap()
            .join()
            .unwrap_err();
        assert!(matches!(error, Error::Panicked { .. }), "{error:?}");
    }
}

fn prints_its_panic() {
    multiprocessing::init();
    _ = Process::new(spill, ("milk".to_string(),))
        .name("cook")
        .start()
        .unwrap()
        .join();
}

fn a_panic_is_printed_as_in_any_program() {
    let output = itself("process::prints_its_panic").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.matches("no milk left").count(), 1, "{stderr}");
    assert!(
        stderr.contains(&format!("{}:{SPILL}:", file!())),
        "{stderr}"
    );
}

const BOOM: u32 = line!() + 2;
fn boom() {
    panic!("boom")
}

/// Panics and goes on.
fn survives(panics: impl FnOnce() + panic::UnwindSafe) -> Box<dyn std::any::Any + Send> {
    panic::catch_unwind(panics).unwrap_err()
}

/// A target, the text that it panics with, and the line if that is known.
type Catches = (fn(), &'static str, Option<u32>);

const CATCHES: &[Catches] = &[
    // It caught one, and ends by one that no hook sees.
    (
        || {
            survives(boom);
            panic::resume_unwind(Box::new("resumed"))
        },
        "resumed",
        None,
    ),
    // It lets the one go on that it caught, after it has caught another one.
    (
        || {
            let caught = survives(boom);
            survives(|| panic!("bang"));
            panic::resume_unwind(caught)
        },
        "boom",
        Some(BOOM),
    ),
    // Another one is caught while the one that ends it is on its way.
    (
        || {
            struct Catches;
            impl Drop for Catches {
                fn drop(&mut self) {
                    survives(|| panic!("bang"));
                }
            }
            let _catches = Catches;
            boom();
        },
        "boom",
        Some(BOOM),
    ),
    // Another thread's is no panic of the target.
    (
        || {
            let caught = thread::spawn(boom).join().unwrap_err();
            drop(caught);
            panic::resume_unwind(Box::new("resumed"))
        },
        "resumed",
        None,
    ),
    // Values of other types are told apart, too.
    (
        || {
            survives(|| panic::panic_any(7u8));
            panic::resume_unwind(Box::new(7u16))
        },
        "a value that is not text",
        None,
    ),
    // So are many.
    (
        || {
            for n in 0..100 {
                survives(move || panic!("number {n}"));
            }
            boom();
        },
        "boom",
        Some(BOOM),
    ),
    // A payload that panics when it is dropped does no more harm.
    (
        || {
            struct Bomb;
            impl Drop for Bomb {
                fn drop(&mut self) {
                    panic::panic_any(Bomb);
                }
            }
            panic::panic_any(Bomb)
        },
        "a value that is not text",
        Some(0),
    ),
];

fn a_panic_that_the_target_caught_is_not_told_of_another_one() {
    let catches = |index: usize| CATCHES[index].0();
    let is_told = |error: Error, text: &str, line: &Option<u32>| match error {
        Error::Panicked {
            message,
            location,
            backtrace,
            ..
        } => {
            assert_eq!(message, text);
            match line {
                Some(0) => assert!(location.starts_with(file!()), "{location}"),
                Some(line) => {
                    assert!(
                        location.starts_with(&format!("{}:{line}:", file!())),
                        "{location}"
                    );
                    assert!(backtrace.contains("boom"), "{backtrace}");
                }
                None => assert_eq!(
                    (location.as_str(), backtrace.as_str()),
                    ("an unknown place", "")
                ),
            }
        }
        error => panic!("{error:?}"),
    };
    let pool = Pool::new(1).unwrap();
    for (index, (_, text, line)) in CATCHES.iter().enumerate() {
        let child = Process::new(catches, (index,)).start().unwrap();
        is_told(child.join().unwrap_err(), text, line);
        is_told(pool.apply(catches, (index,)).unwrap_err(), text, line);
        // A task that caught its panics leaves nothing for the next one.
        let recovers = || drop(survives(boom));
        pool.apply(recovers, ()).unwrap();
        let resumes = || -> u8 { panic::resume_unwind(Box::new("boom")) };
        is_told(pool.apply(resumes, ()).unwrap_err(), "boom", &None);
    }
}

fn raises(signal: i32) {
    let signal = Signal::try_from(signal).unwrap();
    // The first SIGSEGV meets the handler that Rust has for stack overflows,
    // which restores the default and returns.
    loop {
        raise(signal).unwrap();
    }
}

fn a_signal_is_an_error_that_names_it() {
    use Signal::{SIGABRT, SIGKILL, SIGSEGV, SIGTERM};
    for sent in [SIGKILL, SIGTERM, SIGSEGV, SIGABRT] {
        let child = Process::new(raises, (sent as i32,)).start().unwrap();
        let its = child.pid();
        match child.join() {
            Err(error @ Error::Killed { pid, signal }) => {
                assert_eq!((pid, signal), (its, sent as i32));
                assert!(error.to_string().contains(sent.as_str()), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn an_exit_is_an_error_that_names_its_code() {
    for sent in [3, 0, 255] {
        let child = Process::new(|code: i32| -> u8 { process::exit(code) }, (sent,))
            .start()
            .unwrap();
        let its = child.pid();
        match child.join() {
            Err(Error::Exited { pid, code }) => assert_eq!((pid, code), (its, sent)),
            other => panic!("{other:?}"),
        }
    }
}

/// A child that ends when it is told to.
fn waiting() -> (Process<()>, Connection<(), ()>) {
    let (here, there) = pipe::<(), ()>().unwrap();
    let child = Process::new(waits, (there,)).start().unwrap();
    here.recv().unwrap();
    (child, here)
}

fn waits(gate: Connection<(), ()>) {
    gate.send(()).unwrap();
    gate.recv().unwrap();
}

fn exitcode_is_signed_as_in_python() {
    let (child, gate) = waiting();
    assert_eq!(child.exitcode(), None);
    gate.send(()).unwrap();
    assert!(child.join_timeout(LONG).unwrap());
    assert_eq!(child.exitcode(), Some(0));

    let (child, _gate) = waiting();
    child.terminate().unwrap();
    assert!(child.join_timeout(LONG).unwrap());
    assert_eq!(child.exitcode(), Some(-15));

    let (child, _gate) = waiting();
    child.kill().unwrap();
    assert!(child.join_timeout(LONG).unwrap());
    assert_eq!(child.exitcode(), Some(-9));

    let child = Process::new(|| -> u8 { process::exit(3) }, ())
        .start()
        .unwrap();
    assert!(child.join_timeout(LONG).unwrap());
    assert_eq!(child.exitcode(), Some(3));

    let child = Process::new(|| -> u8 { panic!("1 in Python, too") }, ())
        .start()
        .unwrap();
    assert!(child.join_timeout(LONG).unwrap());
    assert_eq!(child.exitcode(), Some(1));
}

const LONG: Duration = Duration::from_secs(30);

fn a_core_dump_is_an_error_that_names_the_signal() {
    fn dumps(folder: String) {
        env::set_current_dir(folder).unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
        setrlimit(Resource::RLIMIT_CORE, hard, hard).unwrap();
        raises(Signal::SIGABRT as i32);
    }
    let folder = env!("CARGO_TARGET_TMPDIR").to_string() + &format!("/{}.core", process::id());
    fs::create_dir(&folder).unwrap();
    let child = Process::new(dumps, (folder.clone(),)).start().unwrap();
    assert!(child.join_timeout(LONG).unwrap());
    assert_eq!(child.exitcode(), Some(-6));
    let error = child.join().unwrap_err();
    assert!(matches!(error, Error::Killed { signal: 6, .. }), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

type Target = fn(u8) -> u8;

/// How a child ends, and whether it has returned a result by then.
const ENDS: &[(Target, bool)] = &[
    (|n| n, true),
    (|_| process::exit(0), false),
    (|_| process::exit(3), false),
    (
        |_| loop {
            raise(Signal::SIGKILL).unwrap()
        },
        false,
    ),
];

fn starts_each_end(index: usize) -> Process<u8> {
    let end = |index: usize| ENDS[index].0(7);
    Process::new(end, (index,)).start().unwrap()
}

/// Nothing that is not known is told of a child that has ended.
fn is_unknown(child: Process<u8>, returned: bool) {
    let its = child.pid();
    assert_eq!((child.exitcode(), child.is_alive()), (None, false));
    match child.join() {
        Ok(7) if returned => {}
        Err(error @ Error::ExitUnknown { pid }) if !returned => {
            assert_eq!(pid, its);
            let text = error.to_string();
            for part in ["unknown", "SIGCHLD", &its.to_string()] {
                assert!(text.contains(part), "{text}");
            }
        }
        other => panic!("{other:?}"),
    }
}

fn an_exit_status_that_something_else_collected_is_unknown() {
    for (index, (_, returned)) in ENDS.iter().enumerate() {
        let child = starts_each_end(index);
        waitpid(Pid::from_raw(child.pid() as i32), None).unwrap();
        is_unknown(child, *returned);
    }
}

fn killed_workers_end_is_unknown() {
    let pool = Pool::new(1).unwrap();
    let error = pool.apply(raises, (Signal::SIGKILL as i32,)).unwrap_err();
    assert!(matches!(error, Error::ExitUnknown { .. }), "{error:?}");
    assert_eq!(pool.apply(|n: u8| n, (5,)).unwrap(), 5);
}

fn an_exit_status_is_unknown_where_sigchld_is_ignored() {
    let ignored = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    let discarded = SigAction::new(SigHandler::SigDfl, SaFlags::SA_NOCLDWAIT, SigSet::empty());
    for action in [ignored, discarded] {
        // SAFETY: no handler is installed.
        unsafe { sigaction(Signal::SIGCHLD, &action) }.unwrap();
        for (index, (_, returned)) in ENDS.iter().enumerate() {
            let child = starts_each_end(index);
            assert!(child.join_timeout(LONG).unwrap());
            is_unknown(child, *returned);
        }
        killed_workers_end_is_unknown();
        let (child, gate) = waiting();
        assert_eq!((child.exitcode(), child.is_alive()), (None, true));
        gate.send(()).unwrap();
        child.join().unwrap();
    }
}

fn an_exit_status_is_unknown_beside_a_thread_that_waits_for_every_child() {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                _ = waitpid(None, None);
            }
        });
        for _ in 0..10 {
            for (index, (_, returned)) in ENDS.iter().enumerate() {
                let child = starts_each_end(index);
                match (child.join(), index) {
                    (Ok(7), _) if *returned => {}
                    (Err(Error::ExitUnknown { .. }), 1..) => {}
                    // The handle was quicker than the thread.
                    (Err(Error::Exited { code: 0, .. }), 1) => {}
                    (Err(Error::Exited { code: 3, .. }), 2) => {}
                    (Err(Error::Killed { signal: 9, .. }), 3) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn join_timeout_tells_whether_it_has_ended() {
    let (child, gate) = waiting();
    assert!(!child.join_timeout(Duration::ZERO).unwrap());
    let start = Instant::now();
    assert!(!child.join_timeout(Duration::from_millis(50)).unwrap());
    assert!(start.elapsed() >= Duration::from_millis(50));
    gate.send(()).unwrap();
    assert!(child.join_timeout(Duration::MAX).unwrap());
    assert!(child.join_timeout(Duration::ZERO).unwrap());
    child.join().unwrap();
}

fn a_child_that_is_asked_whether_it_lives_leaves_no_zombie() {
    let asks: [fn(&Process<()>) -> bool; 3] = [
        |child| !child.is_alive(),
        |child| child.exitcode().is_some(),
        |child| child.join_timeout(Duration::ZERO).unwrap(),
    ];
    for has_ended in asks {
        let (child, gate) = waiting();
        gate.send(()).unwrap();
        within(LONG, || has_ended(&child)).unwrap();
        assert_eq!(
            kill(Pid::from_raw(child.pid() as i32), None),
            Err(Errno::ESRCH)
        );
        assert_eq!(child.exitcode(), Some(0));
        child.join().unwrap();
    }
}

fn what_acts_on_a_child_is_a_no_op_once_it_has_ended() {
    let (child, gate) = waiting();
    gate.send(()).unwrap();
    // Nobody has asked yet, so it may have ended without being reaped.
    within(LONG, || !child.is_alive()).unwrap();
    for _ in 0..2 {
        child.terminate().unwrap();
        child.kill().unwrap();
        assert!(child.join_timeout(LONG).unwrap());
        assert_eq!(child.exitcode(), Some(0));
    }
    child.join().unwrap();
}

fn kill_spares_whoever_has_the_number_now() {
    // A namespace of its own, in which it may choose the next number.
    let namespace = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID;
    let user = getuid();
    if let Err(errno) = unshare(namespace) {
        return skip(&format!(
            "no namespace of process numbers is to be had: {errno}"
        ));
    }
    // Its first process is root there.
    fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
    let output = itself("process::first_of_its_namespace").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn first_of_its_namespace() {
    multiprocessing::init();
    for act in [Process::kill, Process::terminate] {
        let (child, gate) = waiting();
        let number = child.pid();
        gate.send(()).unwrap();
        // Somebody else reaps it: the number is free and nobody told the handle.
        waitpid(Pid::from_raw(number as i32), None).unwrap();
        fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
        let mut innocent = Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(innocent.id(), number, "the number was to be used again");

        act(&child).unwrap();
        assert!(child.join_timeout(LONG).unwrap());
        assert!(!child.is_alive());
        assert_eq!(innocent.try_wait().unwrap(), None);
        // Nor is its end taken for the child's, or from who waits for it.
        innocent.kill().unwrap();
        let ended = Id::Pid(Pid::from_raw(number as i32));
        waitid(ended, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        assert_ne!(child.exitcode(), Some(-9));
        drop(child);
        assert_eq!(innocent.wait().unwrap().signal(), Some(9));
    }
}

fn starts_before_init() {
    let error = Process::new(|| println!("ran"), ()).start().err();
    assert!(matches!(error, Some(Error::NotInitialized)), "{error:?}");
    println!("{}", error.unwrap());
    assert!(matches!(Pool::new(1).err().unwrap(), Error::NotInitialized));
}

fn start_before_init_is_an_error() {
    let output = itself("process::starts_before_init")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("init()") && !told.contains("ran"), "{told}");
}

fn dies_before_its_handshake() {
    if env::var_os(MARK).is_some() {
        match env::var("END").unwrap().as_str() {
            "exit" => process::exit(7),
            _ => raises(Signal::SIGKILL as i32),
        }
    }
    multiprocessing::init();
    let argument = vec![0u8; env::var("SIZE").unwrap().parse().unwrap()];
    // The one place to learn of it is `start` or `join`.
    let error = Process::new(|_: Vec<u8>| (), (argument,))
        .start()
        .and_then(Process::join)
        .expect_err("nothing ran");
    println!("{error:?}");
}

fn a_child_that_dies_before_its_handshake_is_an_error() {
    for size in [0, 64 * MIB] {
        for (end, told) in [
            ("exit", "Exited { pid: 0, code: 7 }"),
            ("kill", "Killed { pid: 0, signal: 9 }"),
        ] {
            let output = itself("process::dies_before_its_handshake")
                .env("END", end)
                .env("SIZE", size.to_string())
                .stderr(Stdio::inherit())
                .output()
                .unwrap();
            assert_eq!(without_numbers(&output.stdout), format!("{told}\n"));
        }
    }
}

/// What was printed, with every `pid: N` as `pid: 0`.
fn without_numbers(output: &[u8]) -> String {
    let mut parts = str::from_utf8(output).unwrap().split("pid: ");
    let first = parts.next().unwrap().to_string();
    parts.fold(first, |text, part| {
        text + "pid: 0" + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

fn never_calls_init() {
    if env::var_os(MARK).is_none() {
        multiprocessing::init();
        let error = Process::new(|| (), ())
            .start()
            .and_then(Process::join)
            .expect_err("nothing ran");
        println!("{error:?}");
    }
    // The child does what the rest of this program does, and ends well.
}

fn a_child_that_never_calls_init_is_an_error() {
    let output = itself("process::never_calls_init")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert_eq!(
        without_numbers(&output.stdout),
        "Exited { pid: 0, code: 0 }\n"
    );
}

fn dropping_a_handle_waits_for_the_child() {
    let ended = Value::new(0u8).unwrap();
    let child = Process::new(
        |ended: &Value<u8>| {
            thread::sleep(Duration::from_millis(200));
            ended.set(1);
        },
        (&ended,),
    );
    let child = child.start().unwrap();
    let pid = Pid::from_raw(child.pid() as i32);
    drop(child);
    assert_eq!(ended.get(), 1);
    assert_eq!(kill(pid, None), Err(Errno::ESRCH));
}

fn dropping_the_handle_of_a_daemon_kills_it() {
    let (here, there) = pipe::<(), ()>().unwrap();
    let child = Process::new(
        |gate: Connection<(), ()>| {
            gate.send(()).unwrap();
            spins();
        },
        (there,),
    );
    let child = child.daemon(true).start().unwrap();
    here.recv().unwrap();
    let pid = Pid::from_raw(child.pid() as i32);
    drop(child);
    assert_eq!(kill(pid, None), Err(Errno::ESRCH));
}

/// Runs `act` in a copy of this process, and returns how the copy ended.
fn in_a_fork(act: impl FnOnce()) -> WaitStatus {
    // SAFETY: no other thread runs in a test's process, so that no lock is held.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        ForkResult::Child => {
            let outcome = panic::catch_unwind(panic::AssertUnwindSafe(act));
            // SAFETY: it ends the process, and runs nothing of the parent's.
            unsafe { libc::_exit(i32::from(outcome.is_err())) }
        }
    }
}

fn a_copy_that_fork_made_of_a_target_does_not_answer_in_its_place() {
    fn forks() -> u8 {
        // SAFETY: the copy only returns, and this process has one thread.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => 77,
            ForkResult::Parent { child } => {
                // The copy has returned, and would have answered.
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 1)));
                1
            }
        }
    }
    let child = Process::new(forks, ()).start().unwrap();
    assert_eq!(child.join().unwrap(), 1);
}

fn a_result_that_memory_is_missing_for_is_an_error_that_says_so() {
    fn large(spare: u64) -> String {
        let result = "x".repeat(8 << 20);
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
        let limit = pages * 4096 + spare;
        setrlimit(Resource::RLIMIT_AS, limit, limit).unwrap();
        result
    }
    // There may be memory for one copy of the result and not for the next.
    for spare in [1, 2, 8, 10, 16, 18, 20, 25].map(|mib| mib << 20) {
        let child = Process::new(large, (spare,)).start().unwrap();
        match child.join() {
            Ok(result) => assert_eq!(result.len(), 8 << 20),
            Err(Error::Encode(text)) => assert!(text.contains("memory"), "{text}"),
            Err(other) => panic!("{spare}: {other:?}"),
        }
    }
}

fn dropping_a_handle_that_fork_copied_does_nothing() {
    let (child, gate) = waiting();
    let (here, there) = pipe::<(), ()>().unwrap();
    let daemon = Process::new(waits, (there,)).daemon(true).start().unwrap();
    here.recv().unwrap();
    let mut copies = Some((child, daemon));
    let ended = in_a_fork(|| {
        let (child, daemon) = copies.take().unwrap();
        assert!(child.is_alive() && daemon.is_alive());
        assert_eq!((child.exitcode(), daemon.exitcode()), (None, None));
        // It would take what the child has to tell its parent.
        let error = child.join().unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
        drop(daemon);
    });
    assert!(matches!(ended, WaitStatus::Exited(_, 0)), "{ended:?}");
    let (child, daemon) = copies.unwrap();
    assert!(child.is_alive() && daemon.is_alive());
    for gate in [gate, here] {
        gate.send(()).unwrap();
    }
    child.join().unwrap();
    daemon.join().unwrap();
}

fn a_child_that_may_not_be_sent_a_signal_is_killed_all_the_same() {
    if !getuid().is_root() {
        return eprintln!("skipped: only root can give up what its child keeps");
    }
    let (killed, _gate) = waiting();
    let (here, there) = pipe::<(), ()>().unwrap();
    let daemon = Process::new(waits, (there,)).daemon(true).start().unwrap();
    here.recv().unwrap();
    let pool = Pool::new(2).unwrap();
    let task = pool.apply_async(spins, ()).unwrap();
    let nobody = Uid::from_raw(12_345);
    setresuid(nobody, nobody, nobody).unwrap();
    // For the harness, which looks into /proc.
    prctl::set_dumpable(true).unwrap();
    assert!(killed.terminate().is_err());
    assert!(killed.is_alive());
    killed.kill().unwrap();
    match killed.join() {
        Err(Error::Killed { signal: 9, .. }) => {}
        other => panic!("{other:?}"),
    }
    // Neither waits for ever.
    drop(pool);
    assert!(task.get().is_err());
    drop(daemon);
    assert!(matches!(here.recv(), Err(Error::Eof)));
}

fn spins() {
    loop {
        hint::spin_loop();
    }
}

fn factorial(n: u64) -> u64 {
    match n {
        0 => 1,
        n => {
            n * Process::new(factorial, (n - 1,))
                .start()
                .unwrap()
                .join()
                .unwrap()
        }
    }
}

fn children_start_children() {
    assert_eq!(
        Process::new(factorial, (5,))
            .start()
            .unwrap()
            .join()
            .unwrap(),
        120
    );
}

fn a_child_outlives_the_thread_that_started_it() {
    let (child, gate) = thread::spawn(waiting).join().unwrap();
    // A signal for the end of that thread would come about now.
    assert!(!child.join_timeout(Duration::from_millis(200)).unwrap());
    gate.send(()).unwrap();
    child.join().unwrap();
}

fn settle(ready: &Queue<u32>, full: &Queue<u8>, generations: u8) {
    // Each of these says that it is there, then does one thing for ever.
    fn idles(ready: &Queue<u32>, empty: &Queue<u8>) {
        ready.put(process::id()).unwrap();
        empty.get().unwrap();
    }
    fn listens(ready: &Queue<u32>, silent: Connection<(), ()>) {
        ready.put(process::id()).unwrap();
        silent.recv().unwrap();
    }
    fn works(ready: &Queue<u32>) {
        ready.put(process::id()).unwrap();
        spins();
    }
    fn sends(ready: &Queue<u32>, unread: Connection<Vec<u8>, ()>) {
        ready.put(process::id()).unwrap();
        // The first ones go in, the last one does not.
        loop {
            unread.send(vec![0; 10_000]).unwrap();
        }
    }
    fn puts(ready: &Queue<u32>, full: &Queue<u8>) {
        ready.put(process::id()).unwrap();
        full.put(1).unwrap();
    }
    let empty = Queue::new().unwrap();
    let (silent, listening) = pipe().unwrap();
    let (sending, unread) = pipe::<Vec<u8>, ()>().unwrap();
    let mut all = vec![
        Process::new(idles, (ready, &empty)).start().unwrap(),
        Process::new(listens, (ready, listening)).start().unwrap(),
        Process::new(works, (ready,)).start().unwrap(),
        Process::new(sends, (ready, sending)).start().unwrap(),
        Process::new(puts, (ready, full)).start().unwrap(),
    ];
    let idle = Pool::new(1).unwrap();
    let busy = Pool::builder()
        .processes(1)
        .initializer(stays, (ready,))
        .build()
        .unwrap();
    let spinning = busy.apply_async(spins, ()).unwrap();
    if generations > 1 {
        all.push(
            Process::new(settle, (ready, full, generations - 1))
                .start()
                .unwrap(),
        );
    }
    ready.put(process::id()).unwrap();
    thread::park();
    drop((silent, unread, idle, spinning, busy, all));
}

fn stays(ready: &Queue<u32>) {
    ready.put(process::id()).unwrap();
}

const GENERATIONS: u8 = 2;
/// What `settle` starts and itself, but not its idle pool's worker.
const SETTLERS: usize = 7;

fn family() {
    multiprocessing::init();
    let ready = Queue::new().unwrap();
    let full = Queue::with_maxsize(1).unwrap();
    full.put(0).unwrap();
    thread::spawn({
        let ready = ready.clone();
        move || settle(&ready, &full, GENERATIONS)
    });
    for _ in 0..SETTLERS * GENERATIONS as usize {
        ready.get().unwrap();
    }
    println!("ready");
    thread::park();
}

fn when_the_parent_is_killed_every_descendant_is_gone_within_a_second() {
    let mut parent = itself("process::family")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    let generation = children(parent.id());
    let next = generation
        .iter()
        .map(|&child| children(child as u32).len())
        .max();
    assert!(
        generation.len() > SETTLERS && next >= Some(SETTLERS),
        "{generation:?}, {next:?}"
    );

    parent.kill().unwrap();
    let start = Instant::now();
    parent.wait().unwrap();
    reap_orphans();
    let time = start.elapsed();
    assert!(time < Duration::from_secs(1), "it took {time:?}");
}

fn starting_is_safe_in_a_program_of_many_threads() {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            // Whatever a fork could catch half way: the heap, the
            // environment, the standard streams, descriptors.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let text = format!("{:?}", vec![env::var_os("PATH"); 10]);
                    io::sink().write_all(text.as_bytes()).unwrap();
                    io::stdout().lock().flush().unwrap();
                    fs::File::open("/dev/null").unwrap();
                }
            });
        }
        let starters: Vec<_> = (0..4u64)
            .map(|n| {
                scope.spawn(move || {
                    for i in 0..8 {
                        let add = |a: u64, b: u64| format!("{}", a + b);
                        let child = Process::new(add, (n, i)).start().unwrap();
                        assert_eq!(child.join().unwrap(), (n + i).to_string());
                    }
                })
            })
            .collect();
        for starter in starters {
            starter.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn a_child_has_a_name_a_number_and_a_life() {
    let child = Process::new(process::id, ())
        .name("worker-1")
        .start()
        .unwrap();
    assert_eq!(child.name(), "worker-1");
    let pid = child.pid();
    assert_ne!(pid, process::id());
    assert_eq!(child.join().unwrap(), pid);

    let (child, gate) = waiting();
    assert!(child.name().starts_with("Process-"), "{}", child.name());
    assert!(child.is_alive());
    gate.send(()).unwrap();
    assert!(child.join_timeout(LONG).unwrap());
    assert!(!child.is_alive());
}

fn a_child_keeps_the_arguments_and_reads_nothing() {
    fn looks() -> (Vec<String>, String) {
        let mut input = String::new();
        io::stdin().read_to_string(&mut input).unwrap();
        (env::args().collect(), input)
    }
    let (arguments, input) = Process::new(looks, ()).start().unwrap().join().unwrap();
    assert_eq!(arguments, env::args().collect::<Vec<_>>());
    assert_eq!(input, "");
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn counts_its_descriptors() {
    println!("{}", open_descriptors());
}

fn a_child_holds_no_descriptor_that_it_was_not_given() {
    let count = || {
        Process::new(open_descriptors, ())
            .start()
            .unwrap()
            .join()
            .unwrap()
    };
    let program = || {
        itself("process::counts_its_descriptors")
            .output()
            .unwrap()
            .stdout
    };
    let (few, bare) = (count(), program());
    let _held = (
        Value::new(0).unwrap(),
        Queue::<u8>::new().unwrap(),
        pipe::<(), ()>().unwrap(),
        Pool::new(1).unwrap(),
    );
    // The gate goes first, or the child would be waited for in vain.
    let (_child, _gate) = waiting();
    assert_eq!(count(), few);
    assert_eq!(program(), bare);
}

/// The descriptors from 3 on that this process has, but those of the listing
/// and of a child's socket.
fn strange_descriptors() -> Vec<String> {
    let listed = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = listed.filter_map(|entry| {
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        let link = entry.path().read_link().ok()?.display().to_string();
        (number > 2 && !link.contains("/proc/")).then(|| format!("{number} -> {link}"))
    });
    links.collect()
}

fn a_child_inherits_no_descriptor_that_is_not_close_on_exec() {
    let count = || {
        Process::new(strange_descriptors, ())
            .start()
            .unwrap()
            .join()
            .unwrap()
    };
    let own = count().len();
    let file = fs::File::open("/dev/zero").unwrap();
    let mut inherited = vec![dup(&file).unwrap()];
    // Among them one with the number that the socket would have.
    for number in [900, 901, 1000] {
        // SAFETY: nothing else is open under these numbers.
        inherited.push(unsafe { dup2_raw(&file, number) }.unwrap());
    }
    assert_eq!(count().len(), own, "{:?}", count());
    let pool = Pool::new(1).unwrap();
    let workers = pool.apply(strange_descriptors, ()).unwrap();
    assert!(
        !workers.iter().any(|line| line.contains("zero")),
        "{workers:?}"
    );
    // `Command` does pass them on, as ever.
    let output = Command::new("ls").args(["-l", "/proc/self/fd"]).output();
    assert!(
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .contains("zero")
    );
    // A limit that counting up to would take long does not matter.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let start = Instant::now();
    assert_eq!(count().len(), own);
    assert!(start.elapsed() < Duration::from_secs(5));
    drop((inherited, pool));

    let output = itself("process::lacks_close_range")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
}

fn lacks_close_range() {
    multiprocessing::init();
    refuse(libc::SYS_close_range);
    let file = fs::File::open("/dev/zero").unwrap();
    // SAFETY: nothing else is open under this number.
    let _inherited = [
        dup(&file).unwrap(),
        unsafe { dup2_raw(&file, 900) }.unwrap(),
    ];
    let child = Process::new(strange_descriptors, ()).start().unwrap();
    let descriptors = child.join().unwrap();
    assert!(
        !descriptors.iter().any(|line| line.contains("zero")),
        "{descriptors:?}"
    );
}

/// From now on the kernel answers this system call with ENOSYS.
fn refuse(call: libc::c_long) {
    let statement = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    // The call's number is at offset 0.
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            call as u32,
        ),
        statement(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        ),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    prctl::set_no_new_privs().unwrap();
    // SAFETY: the program and its statements outlive the call.
    let answer = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    Errno::result(answer).unwrap();
}

/// One of the sets of signals of this process.
fn signals(set: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(set))
        .unwrap();
    u64::from_str_radix(line.trim_start_matches([':', '\t']), 16).unwrap()
}

fn a_child_starts_with_no_signal_blocked_and_no_handler() {
    extern "C" fn handler(_: libc::c_int) {}
    let looks = || (signals("SigBlk"), signals("SigIgn"), signals("SigCgt"));
    let look = || Process::new(looks, ()).start().unwrap().join().unwrap();
    let as_ever = look();
    assert_eq!(as_ever.0, 0);
    let action = SigAction::new(
        SigHandler::Handler(handler),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    SigSet::all().thread_block().unwrap();
    assert_eq!(look(), as_ever);
    let (child, _gate) = waiting();
    child.terminate().unwrap();
    assert!(child.join_timeout(LONG).unwrap());
    assert_eq!(child.exitcode(), Some(-15));
    // Nor is the parent's mask another one than before.
    assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM));
}

fn what_the_parent_ignores_the_child_ignores_but_not_sigterm() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD] {
        // SAFETY: no handler is installed.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) }.unwrap();
    }
    let ignored = Process::new(|| signals("SigIgn"), ()).start().unwrap();
    let ignored = ignored.join().unwrap();
    let has = |signal: Signal| ignored & (1 << (signal as i32 - 1)) != 0;
    assert!(has(Signal::SIGHUP) && has(Signal::SIGCHLD) && !has(Signal::SIGTERM));
    let (child, _gate) = waiting();
    child.terminate().unwrap();
    assert!(child.join_timeout(LONG).unwrap());
}

fn a_program_that_a_pools_task_starts_ends_by_ctrl_c() {
    fn starts_a_program(gate: bool) -> Option<i32> {
        let mut program = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_raw(program.id() as i32);
        // Ctrl-C goes to the worker as well.
        raise(Signal::SIGINT).unwrap();
        kill(pid, Signal::SIGINT).unwrap();
        if gate {
            // It is not to end by SIGINT.
            assert!(program.try_wait().unwrap().is_none());
            program.kill().unwrap();
        }
        program.wait().unwrap().signal()
    }
    let pool = Pool::new(1).unwrap();
    let ended = pool.apply(starts_a_program, (false,)).unwrap();
    assert_eq!(ended, Some(Signal::SIGINT as i32));
    drop(pool);
    // What a shell starts in the background ignores Ctrl-C, and so do the
    // programs of its tasks.
    // SAFETY: no handler is installed.
    unsafe { nix::sys::signal::signal(Signal::SIGINT, SigHandler::SigIgn) }.unwrap();
    let pool = Pool::new(1).unwrap();
    let ended = pool.apply(starts_a_program, (true,)).unwrap();
    assert_eq!(ended, Some(Signal::SIGKILL as i32));
}

fn closes_descriptors() -> u8 {
    // SAFETY: unsound, as it is in any program, and what people do.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    7
}

fn a_target_that_closes_its_socket_is_an_error_that_says_so() {
    fn opens_another(path: String) -> u8 {
        closes_descriptors();
        // These have the numbers that were closed.
        for _ in 0..10 {
            let file = fs::File::options().append(true).create(true).open(&path);
            std::mem::forget(file.unwrap());
        }
        7
    }
    let is_lost = |child: Process<u8>| {
        let error = child.join().unwrap_err();
        assert!(matches!(error, Error::Exited { code: 1, .. }), "{error:?}");
        assert!(error.to_string().contains("result"), "{error}");
    };
    is_lost(Process::new(closes_descriptors, ()).start().unwrap());
    let path = format!("{}/{}.closed", env!("CARGO_TARGET_TMPDIR"), process::id());
    is_lost(
        Process::new(opens_another, (path.clone(),))
            .start()
            .unwrap(),
    );
    assert_eq!(fs::read(&path).unwrap(), b"", "the result went elsewhere");
    fs::remove_file(path).unwrap();
}

fn ends_after_start() {
    multiprocessing::init();
    let child = Process::new(|| (), ()).start().unwrap();
    process::exit(i32::from(child.pid() == 0));
}

fn an_orphan_ends_in_silence() {
    for _ in 0..40 {
        // This waits for the orphan, too, which has the stream open.
        let output = itself("process::ends_after_start").output().unwrap();
        assert!(output.status.success());
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(words, "");
    }
    reap_orphans();
}

fn lets_no_descriptors_in() {
    if env::var_os(MARK).is_some() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 5, hard).unwrap();
    }
    multiprocessing::init();
    let values: Vec<_> = (0..10).map(|n| Value::new(n).unwrap()).collect();
    let child = Process::new(|_: Vec<Value<i32>>| (), (values,)).start();
    println!("{:?}", child.unwrap().join().unwrap_err());
}

fn a_child_that_cannot_receive_its_arguments_is_an_error_that_says_why() {
    let output = itself("process::lets_no_descriptors_in").output().unwrap();
    let words = without_numbers(&output.stdout);
    assert!(
        words.starts_with("ChildStart { pid: 0, reason: "),
        "{words}"
    );
    assert!(words.contains("open files"), "{words}");
}

fn builds_a_runtime() {
    // As the README shows.
    multiprocessing::init();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = std::sync::Arc::new(Pool::new(2).unwrap());
        let child = Process::new(blocks, (1,)).start().unwrap();
        let calls = pool.clone();
        let doubled = tokio::task::spawn_blocking(move || calls.map(blocks, [2, 3])).await;
        assert_eq!(doubled.unwrap().unwrap(), [4, 6]);
        assert_eq!(child.join().unwrap(), 2);
    });
    println!("done");
}

/// Uses a runtime of its own.
fn blocks(n: u8) -> u8 {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async { tokio::spawn(async move { 2 * n }).await.unwrap() })
}

fn targets_run_outside_the_runtime_that_main_builds() {
    let output = itself("process::builds_a_runtime")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "done\n");
}

fn starts_a_process() {
    multiprocessing::init();
    let child = Process::new(process::id, ()).start().unwrap();
    println!("ran {}", child.pid() == child.join().unwrap());
}

/// What a child starts: this program, under another name of its test.
fn starts_a_program_that_uses_processes() -> (bool, String, String) {
    let output = itself("process::starts_a_process").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let marked = env::var_os(MARK).is_some();
    (marked, text(output.stdout), text(output.stderr))
}

fn has_threads_before_init() {
    // The child has to be under way before its variable could be removed.
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let reader = thread::spawn(move || {
        while wait.try_recv().is_err() {
            // What no lock of Rust guards, as the C library does it anywhere.
            // SAFETY: it only reads, which is sound as long as nobody writes.
            unsafe { libc::getenv(c"SHARED_TEST_NO_SUCH_VARIABLE".as_ptr()) };
        }
    });
    multiprocessing::init();
    let child = Process::new(starts_a_program_that_uses_processes, ());
    let (marked, stdout, stderr) = child.start().unwrap().join().unwrap();
    // With another thread there the variable stays, and does no harm.
    assert!(marked);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("ran true\n", ""));
    done.send(()).unwrap();
    reader.join().unwrap();
}

fn a_program_that_inherits_the_mark_starts_as_a_parent() {
    let output = itself("process::has_threads_before_init")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let child = Process::new(starts_a_program_that_uses_processes, ());
    let (marked, stdout, stderr) = child.start().unwrap().join().unwrap();
    assert!(!marked);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("ran true\n", ""));
}

fn the_mark_reaches_no_other_program() {
    fn environment() -> Vec<u8> {
        Command::new("env").output().unwrap().stdout
    }
    let environment = Process::new(environment, ())
        .start()
        .unwrap()
        .join()
        .unwrap();
    let environment = String::from_utf8(environment).unwrap();
    assert!(
        environment.contains("SHARED_TEST=") && !environment.contains(MARK),
        "{environment}"
    );
}

fn up_to_eight_arguments_cross() {
    macro_rules! sum_of {
        ($($name:ident)*) => {
            let child = Process::new(|$($name: u64),*| 0 $(+ $name)*, ($(stringify!($name).len() as u64,)*));
            assert_eq!(child.start().unwrap().join().unwrap(), 0 $(+ stringify!($name).len() as u64)*);
        };
    }
    sum_of!();
    sum_of!(a);
    sum_of!(a bb);
    sum_of!(a bb ccc);
    sum_of!(a bb ccc dddd);
    sum_of!(a bb ccc dddd eeeee);
    sum_of!(a bb ccc dddd eeeee ffffff);
    sum_of!(a bb ccc dddd eeeee ffffff ggggggg);
    sum_of!(a bb ccc dddd eeeee ffffff ggggggg hhhhhhhh);
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
enum Shape {
    Nothing,
    Circle { radius: f64 },
    Group(Vec<Shape>, HashMap<String, Option<char>>),
}

fn any_serde_type_crosses() {
    let shape = Shape::Group(
        vec![Shape::Nothing, Shape::Circle { radius: 0.5 }],
        HashMap::from([("ключ".to_string(), Some('🦀')), (String::new(), None)]),
    );
    let exact = (
        u128::MAX,
        i64::MIN,
        f32::MIN_POSITIVE,
        Duration::MAX,
        [true, false],
    );
    let same = |shape: &Shape, exact: (u128, i64, f32, Duration, [bool; 2])| (exact, shape.clone());
    let child = Process::new(same, (&shape, exact));
    assert_eq!(child.start().unwrap().join().unwrap(), (exact, shape));
}

#[derive(Serialize, Deserialize)]
struct Desk {
    inbox: Queue<String>,
    outbox: Option<Connection<u64, ()>>,
    counters: HashMap<String, Value<u64>>,
}

fn handles_cross_inside_other_values() {
    fn works_at(desk: Desk, twice: [Array<u8>; 2]) {
        desk.counters["letters"].set(desk.inbox.get().unwrap().len() as u64);
        desk.outbox.unwrap().send(42).unwrap();
        twice[0].set(0, 1);
        assert_eq!(twice[1].get(0), 1);
    }
    let (here, there) = pipe().unwrap();
    let letters = Value::new(0).unwrap();
    let inbox = Queue::new().unwrap();
    inbox.put("hello".to_string()).unwrap();
    let desk = Desk {
        inbox,
        outbox: Some(there),
        counters: HashMap::from([("letters".to_string(), letters.clone())]),
    };
    let array = Array::new([0u8]).unwrap();
    let child = Process::new(works_at, (desk, [array.clone(), array.clone()]))
        .start()
        .unwrap();
    assert_eq!(here.recv().unwrap(), 42);
    child.join().unwrap();
    assert_eq!((letters.get(), array.get(0)), (5, 1));
}

fn three_hundred_handles_cross_at_once() {
    let values: Vec<_> = (0..300).map(|n| Value::new(n).unwrap()).collect();
    fn negate(values: &Vec<Value<i32>>) {
        for value in values {
            *value.lock().unwrap() *= -1;
        }
    }
    Process::new(negate, (&values,))
        .start()
        .unwrap()
        .join()
        .unwrap();
    let values: Vec<_> = values.iter().map(Value::get).collect();
    assert_eq!(values, (0..300).map(|n| -n).collect::<Vec<_>>());
}

fn an_argument_that_cannot_be_encoded_is_an_error_at_start() {
    let child = Process::new(|_: Fussy| (), (Fussy(UNENCODABLE),));
    let error = child.start().err();
    assert!(matches!(error, Some(Error::Encode(_))), "{error:?}");
}

fn an_argument_that_cannot_be_decoded_is_an_error_at_join() {
    let child = Process::new(|_: u8, _: Fussy| (), (1, Fussy(UNDECODABLE)))
        .start()
        .unwrap();
    let error = child.join().unwrap_err();
    assert!(matches!(error, Error::Decode(_)), "{error:?}");
}

fn a_result_that_cannot_cross_is_an_error_at_join() {
    let child = Process::new(Fussy, (UNENCODABLE,)).start().unwrap();
    let error = child.join().err();
    assert!(matches!(error, Some(Error::Encode(_))), "{error:?}");
    let child = Process::new(Fussy, (UNDECODABLE,)).start().unwrap();
    let error = child.join().err();
    assert!(matches!(error, Some(Error::Decode(_))), "{error:?}");
}

fn a_handle_encoded_anywhere_else_is_an_error_that_says_so() {
    let value = Value::new(0).unwrap();
    let told = |error: &dyn std::fmt::Display| {
        let text = error.to_string();
        assert!(
            text.contains("argument") && text.contains("start"),
            "{text:?}"
        );
    };
    let queue = Queue::<Value<i32>>::new().unwrap();
    match queue.put(value.clone()) {
        Err(error @ Error::Encode(_)) => told(&error),
        other => panic!("{other:?}"),
    }
    let (left, _right) = pipe::<Value<i32>, ()>().unwrap();
    match left.send(value.clone()) {
        Err(error @ Error::Encode(_)) => told(&error),
        other => panic!("{other:?}"),
    }
    let child = Process::new(|value: Value<i32>| value, (value.clone(),))
        .start()
        .unwrap();
    match child.join() {
        Err(error @ Error::Encode(_)) => told(&error),
        other => panic!("{:?}", other.err()),
    }
}
