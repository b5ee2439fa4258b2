//! `Process`: its result, its failures, its end, its arguments.

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
use crate::harness::{MARK, act_by_default, children, itself, reap_orphans, skip, within};

pub const TESTS: &[(&str, fn())] = named![
    join_returns_the_result,
    join_returns_a_result_of_64_mib,
    a_child_ends_although_nobody_has_received_its_result,
    a_panic_is_an_error_with_message_location_and_backtrace,
    a_panic_with_any_payload_is_an_error,
    a_panic_is_printed_as_in_any_program,
    a_caught_panic_is_not_mistaken_for_the_one_that_ended_the_target,
    a_signal_is_an_error_that_names_it,
    an_exit_is_an_error_that_names_its_code,
    exitcode_is_signed_as_in_python,
    a_core_dump_is_an_error_that_names_the_signal,
    an_exit_status_that_something_else_collected_is_unknown,
    an_exit_status_is_unknown_where_sigchld_is_ignored,
    an_exit_status_is_unknown_beside_a_thread_that_waits_for_every_child,
    join_timeout_returns_whether_the_child_has_ended,
    asking_whether_a_child_has_ended_leaves_no_zombie,
    terminate_and_kill_do_nothing_to_a_child_that_has_ended,
    kill_does_not_hit_a_process_that_has_reused_the_pid,
    start_before_init_is_an_error,
    a_child_that_dies_before_init_is_an_error,
    a_child_that_never_calls_init_is_an_error,
    dropping_a_process_waits_for_the_child,
    dropping_a_daemon_kills_it,
    dropping_a_copy_that_fork_made_does_nothing,
    a_copy_that_fork_made_of_a_target_sends_no_result,
    a_result_too_large_for_memory_is_an_error_that_says_so,
    kill_works_where_sending_a_signal_is_forbidden,
    children_start_children,
    a_child_outlives_the_thread_that_started_it,
    when_the_parent_is_killed_every_descendant_is_gone_within_a_second,
    starting_is_safe_in_a_program_of_many_threads,
    a_child_has_a_name_and_a_pid_and_is_alive_until_it_ends,
    a_child_has_its_parents_arguments_and_an_empty_stdin,
    a_child_holds_no_descriptor_that_it_was_not_given,
    a_child_inherits_no_descriptor_that_is_not_close_on_exec,
    a_child_starts_with_no_signal_blocked_and_no_handler,
    a_child_ignores_the_signals_its_parent_ignores_except_sigterm,
    a_program_that_a_pools_task_starts_ends_by_ctrl_c,
    a_target_that_closes_its_socket_is_an_error_that_says_so,
    an_orphan_exits_without_a_message,
    a_child_that_cannot_receive_its_arguments_is_an_error_that_says_why,
    targets_run_outside_the_runtime_that_main_builds,
    the_child_variable_reaches_no_other_program,
    a_program_that_inherits_the_child_variable_starts_as_a_parent,
    up_to_eight_arguments_can_be_passed,
    any_serde_type_can_be_an_argument_and_a_result,
    handles_can_be_inside_other_arguments,
    three_hundred_handles_can_be_passed_at_once,
    an_argument_that_cannot_be_encoded_is_an_error_at_start,
    an_argument_that_cannot_be_decoded_is_an_error_at_join,
    a_result_that_cannot_be_encoded_or_decoded_is_an_error_at_join,
    a_handle_that_is_not_an_argument_is_an_error_that_says_so,
];

pub const PROGRAMS: &[(&str, fn())] = named![
    starts_before_init,
    dies_before_init,
    never_calls_init,
    family,
    reuses_pids,
    prints_its_panic,
    counts_its_descriptors,
    lacks_close_range,
    ends_after_start,
    lets_no_descriptors_in,
    builds_a_runtime,
    has_threads_before_init,
    starts_a_process,
];

fn join_returns_the_result() {
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

fn join_returns_a_result_of_64_mib() {
    let child = Process::new(|len: usize| vec![7u8; len], (64 * MIB,))
        .start()
        .unwrap();
    let result = child.join().unwrap();
    assert!(result.len() == 64 * MIB && result.iter().all(|&byte| byte == 7));
}

fn a_child_ends_although_nobody_has_received_its_result() {
    let child = Process::new(|len: usize| vec![7u8; len], (MIB,))
        .start()
        .unwrap();
    within(Duration::from_secs(20), || !child.is_alive()).unwrap();
    assert_eq!(child.exitcode(), Some(0));
    assert_eq!(child.join().unwrap().len(), MIB);
}

const RUN_OUT_LINE: u32 = line!() + 2;
fn runs_out(what: String) -> u64 {
    panic!("no {what} left")
}

fn a_panic_is_an_error_with_message_location_and_backtrace() {
    let child = Process::new(runs_out, ("milk".to_string(),))
        .start()
        .unwrap();
    let its = child.pid();
    let error = child.join().unwrap_err();
    let text = error.to_string();
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
        location.starts_with(&format!("{}:{RUN_OUT_LINE}:", file!())),
        "{location}"
    );
    assert!(backtrace.contains("runs_out"), "{backtrace}");
    for part in [its.to_string(), message, location] {
        assert!(text.contains(&part), "{text:?} lacks {part:?}");
    }
}

fn a_panic_with_any_payload_is_an_error() {
    let panics = |how: u8| -> u8 {
        match how {
            0 => panic::panic_any(7),
            1 => panic::resume_unwind(Box::new("unwound")),
            _ => panic!(),
        }
    };
    for how in 0..3 {
        let error = Process::new(panics, (how,))
            .start()
            .unwrap()
            .join()
            .unwrap_err();
        assert!(matches!(error, Error::Panicked { .. }), "{error:?}");
    }
}

fn prints_its_panic() {
    multiprocessing::init();
    _ = Process::new(runs_out, ("milk".to_string(),))
        .name("Process-with-a-name")
        .start()
        .unwrap()
        .join();
}

fn a_panic_is_printed_as_in_any_program() {
    let output = itself("process::prints_its_panic").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.matches("no milk left").count(), 1, "{stderr}");
    assert!(
        stderr.contains(&format!("{}:{RUN_OUT_LINE}:", file!())),
        "{stderr}"
    );
}

const BOOM_LINE: u32 = line!() + 2;
fn boom() {
    panic!("boom")
}

/// Catches a panic, and returns its payload.
fn catch_payload(panics: impl FnOnce() + panic::UnwindSafe) -> Box<dyn std::any::Any + Send> {
    panic::catch_unwind(panics).unwrap_err()
}

/// A target, the message of the panic that ends it, and the line of that panic if
/// it can be known (0 for a line that is not compared).
type Catches = (fn(), &'static str, Option<u32>);

const CATCHES: &[Catches] = &[
    // Catches one panic, and ends by another one that calls no hook.
    (
        || {
            catch_payload(boom);
            panic::resume_unwind(Box::new("resumed"))
        },
        "resumed",
        None,
    ),
    // Resumes a panic that it has caught, after it has caught a second one.
    (
        || {
            let caught = catch_payload(boom);
            catch_payload(|| panic!("bang"));
            panic::resume_unwind(caught)
        },
        "boom",
        Some(BOOM_LINE),
    ),
    // A destructor catches another panic while the one that ends the target unwinds.
    (
        || {
            struct Catches;
            impl Drop for Catches {
                fn drop(&mut self) {
                    catch_payload(|| panic!("bang"));
                }
            }
            let _catches = Catches;
            boom();
        },
        "boom",
        Some(BOOM_LINE),
    ),
    // A panic of another thread is not the target's.
    (
        || {
            let caught = thread::spawn(boom).join().unwrap_err();
            drop(caught);
            panic::resume_unwind(Box::new("resumed"))
        },
        "resumed",
        None,
    ),
    // Payloads without a message are distinguished by their type.
    (
        || {
            catch_payload(|| panic::panic_any(7u8));
            panic::resume_unwind(Box::new(7u16))
        },
        "a value that is not text",
        None,
    ),
    // Catches more panics than are recorded.
    (
        || {
            for n in 0..100 {
                catch_payload(move || panic!("number {n}"));
            }
            boom();
        },
        "boom",
        Some(BOOM_LINE),
    ),
    // The payload panics when it is dropped, and so does that panic's payload.
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

fn a_caught_panic_is_not_mistaken_for_the_one_that_ended_the_target() {
    let catches = |index: usize| CATCHES[index].0();
    let is_reported = |error: Error, text: &str, line: &Option<u32>| match error {
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
        is_reported(child.join().unwrap_err(), text, line);
        is_reported(pool.apply(catches, (index,)).unwrap_err(), text, line);
        // A panic that one task has caught is not reported by the next task.
        let recovers = || drop(catch_payload(boom));
        pool.apply(recovers, ()).unwrap();
        let resumes = || -> u8 { panic::resume_unwind(Box::new("boom")) };
        is_reported(pool.apply(resumes, ()).unwrap_err(), "boom", &None);
    }
}

fn raises(signal: i32) {
    let signal = Signal::try_from(signal).unwrap();
    // The first SIGSEGV calls the handler that Rust installs for stack overflows,
    // which restores the default action and returns.
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

/// A child that runs until it is sent a message through the gate, the end of a
/// pipe. It has started when this returns.
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

/// Asserts that the result is all that is known of a child that has ended.
fn status_is_unknown(child: Process<u8>, returned: bool) {
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
        status_is_unknown(child, *returned);
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
            status_is_unknown(child, *returned);
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
                    // `join` was quicker than the thread.
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

fn join_timeout_returns_whether_the_child_has_ended() {
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

fn asking_whether_a_child_has_ended_leaves_no_zombie() {
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

fn terminate_and_kill_do_nothing_to_a_child_that_has_ended() {
    let (child, gate) = waiting();
    gate.send(()).unwrap();
    within(LONG, || !child.is_alive()).unwrap();
    for _ in 0..2 {
        child.terminate().unwrap();
        child.kill().unwrap();
        assert!(child.join_timeout(LONG).unwrap());
        assert_eq!(child.exitcode(), Some(0));
    }
    child.join().unwrap();
}

fn kill_does_not_hit_a_process_that_has_reused_the_pid() {
    // In a namespace of its own a process may choose the next PID.
    let namespace = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID;
    let user = getuid();
    if let Err(errno) = unshare(namespace) {
        return skip(&format!("the system allows no PID namespace: {errno}"));
    }
    // The first process in the namespace is root there.
    fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
    let output = itself("process::reuses_pids").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn reuses_pids() {
    multiprocessing::init();
    for act in [Process::kill, Process::terminate] {
        let (child, gate) = waiting();
        let number = child.pid();
        gate.send(()).unwrap();
        // Other code reaps the child, so its PID is free, and `child` does not know.
        waitpid(Pid::from_raw(number as i32), None).unwrap();
        fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
        let mut innocent = Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(innocent.id(), number, "the PID was to be used again");

        act(&child).unwrap();
        assert!(child.join_timeout(LONG).unwrap());
        assert!(!child.is_alive());
        assert_eq!(innocent.try_wait().unwrap(), None);
        // Its end is not taken for the child's, and its status is not collected.
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
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("init()") && !text.contains("ran"), "{text}");
}

fn dies_before_init() {
    if env::var_os(MARK).is_some() {
        match env::var("END").unwrap().as_str() {
            "exit" => process::exit(7),
            _ => raises(Signal::SIGKILL as i32),
        }
    }
    multiprocessing::init();
    let argument = vec![0u8; env::var("SIZE").unwrap().parse().unwrap()];
    // Either of the two may report it.
    let error = Process::new(|_: Vec<u8>| (), (argument,))
        .start()
        .and_then(Process::join)
        .expect_err("nothing ran");
    println!("{error:?}");
}

fn a_child_that_dies_before_init_is_an_error() {
    for size in [0, 64 * MIB] {
        for (end, told) in [
            ("exit", "Exited { pid: 0, code: 7 }"),
            ("kill", "Killed { pid: 0, signal: 9 }"),
        ] {
            let output = itself("process::dies_before_init")
                .env("END", end)
                .env("SIZE", size.to_string())
                .stderr(Stdio::inherit())
                .output()
                .unwrap();
            assert_eq!(without_pids(&output.stdout), format!("{told}\n"));
        }
    }
}

/// The output with every `pid: N` replaced by `pid: 0`.
fn without_pids(output: &[u8]) -> String {
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
    // The child returns from `main` like any program, and exits with code 0.
}

fn a_child_that_never_calls_init_is_an_error() {
    let output = itself("process::never_calls_init")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert_eq!(without_pids(&output.stdout), "Exited { pid: 0, code: 0 }\n");
}

fn dropping_a_process_waits_for_the_child() {
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

fn dropping_a_daemon_kills_it() {
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

/// Runs `act` in a copy of this process that `fork` makes, and returns how the copy
/// ended.
fn in_a_fork(act: impl FnOnce()) -> WaitStatus {
    // SAFETY: no other thread runs in a test's process, so no lock is held.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        ForkResult::Child => {
            let outcome = panic::catch_unwind(panic::AssertUnwindSafe(act));
            // SAFETY: this ends the process without running any other code.
            unsafe { libc::_exit(i32::from(outcome.is_err())) }
        }
    }
}

fn a_copy_that_fork_made_of_a_target_sends_no_result() {
    fn forks() -> u8 {
        // SAFETY: this process has one thread, so no lock is held in the copy.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => 77,
            ForkResult::Parent { child } => {
                // The copy has returned, and could have sent its result.
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 1)));
                1
            }
        }
    }
    let child = Process::new(forks, ()).start().unwrap();
    assert_eq!(child.join().unwrap(), 1);
}

fn a_result_too_large_for_memory_is_an_error_that_says_so() {
    fn large(spare: u64) -> String {
        let result = "x".repeat(8 << 20);
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
        let limit = pages * 4096 + spare;
        setrlimit(Resource::RLIMIT_AS, limit, limit).unwrap();
        result
    }
    // Depending on the limit, one copy of the result or another does not fit.
    for spare in [1, 2, 8, 10, 16, 18, 20, 25].map(|mib| mib << 20) {
        let child = Process::new(large, (spare,)).start().unwrap();
        match child.join() {
            Ok(result) => assert_eq!(result.len(), 8 << 20),
            Err(Error::Encode(text)) => assert!(text.contains("memory"), "{text}"),
            Err(other) => panic!("{spare}: {other:?}"),
        }
    }
}

fn dropping_a_copy_that_fork_made_does_nothing() {
    let (child, gate) = waiting();
    let (here, there) = pipe::<(), ()>().unwrap();
    let daemon = Process::new(waits, (there,)).daemon(true).start().unwrap();
    here.recv().unwrap();
    let mut copies = Some((child, daemon));
    let ended = in_a_fork(|| {
        let (child, daemon) = copies.take().unwrap();
        assert!(child.is_alive() && daemon.is_alive());
        assert_eq!((child.exitcode(), daemon.exitcode()), (None, None));
        // `join` here would receive the report that the parent waits for.
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

fn kill_works_where_sending_a_signal_is_forbidden() {
    if !getuid().is_root() {
        return eprintln!("skipped: only root can give up a right that its child keeps");
    }
    let (killed, _gate) = waiting();
    let (here, there) = pipe::<(), ()>().unwrap();
    let daemon = Process::new(waits, (there,)).daemon(true).start().unwrap();
    here.recv().unwrap();
    let pool = Pool::new(2).unwrap();
    let task = pool.apply_async(spins, ()).unwrap();
    let nobody = Uid::from_raw(12_345);
    setresuid(nobody, nobody, nobody).unwrap();
    // So that the harness can still read /proc.
    prctl::set_dumpable(true).unwrap();
    assert!(killed.terminate().is_err());
    assert!(killed.is_alive());
    killed.kill().unwrap();
    match killed.join() {
        Err(Error::Killed { signal: 9, .. }) => {}
        other => panic!("{other:?}"),
    }
    // Neither of these waits for ever.
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
    // A child that dies with its thread, as by PR_SET_PDEATHSIG, would be dead now.
    assert!(!child.join_timeout(Duration::from_millis(200)).unwrap());
    gate.send(()).unwrap();
    child.join().unwrap();
}

fn start_generation(ready: &Queue<u32>, full: &Queue<u8>, generations: u8) {
    // Each of these reports that it runs, and then does one thing for ever.
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
        // After some messages there is no room, and it waits.
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
            Process::new(start_generation, (ready, full, generations - 1))
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
/// The processes of a generation that report: `start_generation` itself and those
/// that it starts, except the idle pool's worker.
const GENERATION_SIZE: usize = 7;

fn family() {
    multiprocessing::init();
    let ready = Queue::new().unwrap();
    let full = Queue::with_maxsize(1).unwrap();
    full.put(0).unwrap();
    thread::spawn({
        let ready = ready.clone();
        move || start_generation(&ready, &full, GENERATIONS)
    });
    for _ in 0..GENERATION_SIZE * GENERATIONS as usize {
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
        generation.len() > GENERATION_SIZE && next >= Some(GENERATION_SIZE),
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
            // These threads hold locks at any time when a process is started: of
            // the heap, the environment, the standard streams.
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

fn a_child_has_a_name_and_a_pid_and_is_alive_until_it_ends() {
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

fn a_child_has_its_parents_arguments_and_an_empty_stdin() {
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
    // The gate is dropped first, and so ends the child before that is waited for.
    let (_child, _gate) = waiting();
    assert_eq!(count(), few);
    assert_eq!(program(), bare);
}

/// The descriptors of this process from 3 on, except that of the listing.
fn inherited_descriptors() -> Vec<String> {
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
        Process::new(inherited_descriptors, ())
            .start()
            .unwrap()
            .join()
            .unwrap()
    };
    let own = count().len();
    let file = fs::File::open("/dev/zero").unwrap();
    let mut inherited = vec![dup(&file).unwrap()];
    // Some of them have numbers that are far from the others.
    for number in [900, 901, 1000] {
        // SAFETY: nothing else is open under these numbers.
        inherited.push(unsafe { dup2_raw(&file, number) }.unwrap());
    }
    assert_eq!(count().len(), own, "{:?}", count());
    let pool = Pool::new(1).unwrap();
    let workers = pool.apply(inherited_descriptors, ()).unwrap();
    assert!(
        !workers.iter().any(|line| line.contains("zero")),
        "{workers:?}"
    );
    // `Command` lets its children inherit them.
    let output = Command::new("ls").args(["-l", "/proc/self/fd"]).output();
    assert!(
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .contains("zero")
    );
    // It takes no longer if the limit is so high that closing each number below it
    // would take long.
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
    let child = Process::new(inherited_descriptors, ()).start().unwrap();
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
    let without_handler = look();
    assert_eq!(without_handler.0, 0);
    let action = SigAction::new(
        SigHandler::Handler(handler),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    SigSet::all().thread_block().unwrap();
    assert_eq!(look(), without_handler);
    let (child, _gate) = waiting();
    child.terminate().unwrap();
    assert!(child.join_timeout(LONG).unwrap());
    assert_eq!(child.exitcode(), Some(-15));
    // The parent's own mask is as before.
    assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM));
}

fn a_child_ignores_the_signals_its_parent_ignores_except_sigterm() {
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
    fn starts_a_program(ignores: bool) -> Option<i32> {
        let mut program = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_raw(program.id() as i32);
        // Ctrl-C sends the signal to the worker as well.
        raise(Signal::SIGINT).unwrap();
        kill(pid, Signal::SIGINT).unwrap();
        if ignores {
            assert!(program.try_wait().unwrap().is_none());
            program.kill().unwrap();
        }
        program.wait().unwrap().signal()
    }
    act_by_default(Signal::SIGINT);
    let pool = Pool::new(1).unwrap();
    let ended = pool.apply(starts_a_program, (false,)).unwrap();
    assert_eq!(ended, Some(Signal::SIGINT as i32));
    drop(pool);
    // A program that a shell starts in the background ignores Ctrl-C, and so do the
    // programs that its tasks start.
    // SAFETY: no handler is installed.
    unsafe { nix::sys::signal::signal(Signal::SIGINT, SigHandler::SigIgn) }.unwrap();
    let pool = Pool::new(1).unwrap();
    let ended = pool.apply(starts_a_program, (true,)).unwrap();
    assert_eq!(ended, Some(Signal::SIGKILL as i32));
}

fn closes_descriptors() -> u8 {
    // SAFETY: this is unsound in general, because other code owns the descriptors,
    // but programs do it, and here nothing relies on them afterwards.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    7
}

fn a_target_that_closes_its_socket_is_an_error_that_says_so() {
    fn opens_another(path: String) -> u8 {
        closes_descriptors();
        // These files get the numbers that were closed.
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

fn an_orphan_exits_without_a_message() {
    for _ in 0..40 {
        // This waits for the orphan as well, because it has stderr open.
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
    let words = without_pids(&output.stdout);
    assert!(
        words.starts_with("ChildStart { pid: 0, reason: "),
        "{words}"
    );
    assert!(words.contains("open files"), "{words}");
}

fn builds_a_runtime() {
    // As the module's documentation shows.
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

/// A child's target: runs this program again, as one that uses processes.
fn starts_a_program_that_uses_processes() -> (bool, String, String) {
    let output = itself("process::starts_a_process").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let marked = env::var_os(MARK).is_some();
    (marked, text(output.stdout), text(output.stderr))
}

fn has_threads_before_init() {
    // With this thread the child cannot remove its variable in `init`.
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let reader = thread::spawn(move || {
        while wait.try_recv().is_err() {
            // Reads without Rust's lock, as the C library does in many functions.
            // SAFETY: this only reads, which is sound as long as nothing writes.
            unsafe { libc::getenv(c"SHARED_TEST_NO_SUCH_VARIABLE".as_ptr()) };
        }
    });
    multiprocessing::init();
    let child = Process::new(starts_a_program_that_uses_processes, ());
    let (marked, stdout, stderr) = child.start().unwrap().join().unwrap();
    // The variable is still there, and does no harm.
    assert!(marked);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("ran true\n", ""));
    done.send(()).unwrap();
    reader.join().unwrap();
}

fn a_program_that_inherits_the_child_variable_starts_as_a_parent() {
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

fn the_child_variable_reaches_no_other_program() {
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

fn up_to_eight_arguments_can_be_passed() {
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

fn any_serde_type_can_be_an_argument_and_a_result() {
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
struct Handles {
    inbox: Queue<String>,
    outbox: Option<Connection<u64, ()>>,
    counters: HashMap<String, Value<u64>>,
}

fn handles_can_be_inside_other_arguments() {
    fn uses_all(handles: Handles, twice: [Array<u8>; 2]) {
        handles.counters["letters"].set(handles.inbox.get().unwrap().len() as u64);
        handles.outbox.unwrap().send(42).unwrap();
        twice[0].set(0, 1);
        assert_eq!(twice[1].get(0), 1);
    }
    let (here, there) = pipe().unwrap();
    let letters = Value::new(0).unwrap();
    let inbox = Queue::new().unwrap();
    inbox.put("hello".to_string()).unwrap();
    let handles = Handles {
        inbox,
        outbox: Some(there),
        counters: HashMap::from([("letters".to_string(), letters.clone())]),
    };
    let array = Array::new([0u8]).unwrap();
    let child = Process::new(uses_all, (handles, [array.clone(), array.clone()]))
        .start()
        .unwrap();
    assert_eq!(here.recv().unwrap(), 42);
    child.join().unwrap();
    assert_eq!((letters.get(), array.get(0)), (5, 1));
}

fn three_hundred_handles_can_be_passed_at_once() {
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

fn a_result_that_cannot_be_encoded_or_decoded_is_an_error_at_join() {
    let child = Process::new(Fussy, (UNENCODABLE,)).start().unwrap();
    let error = child.join().err();
    assert!(matches!(error, Some(Error::Encode(_))), "{error:?}");
    let child = Process::new(Fussy, (UNDECODABLE,)).start().unwrap();
    let error = child.join().err();
    assert!(matches!(error, Some(Error::Decode(_))), "{error:?}");
}

fn a_handle_that_is_not_an_argument_is_an_error_that_says_so() {
    let value = Value::new(0).unwrap();
    let says_so = |error: &dyn std::fmt::Display| {
        let text = error.to_string();
        assert!(
            text.contains("argument") && text.contains("start"),
            "{text:?}"
        );
    };
    let queue = Queue::<Value<i32>>::new().unwrap();
    match queue.put(value.clone()) {
        Err(error @ Error::Encode(_)) => says_so(&error),
        other => panic!("{other:?}"),
    }
    let (left, _right) = pipe::<Value<i32>, ()>().unwrap();
    match left.send(value.clone()) {
        Err(error @ Error::Encode(_)) => says_so(&error),
        other => panic!("{other:?}"),
    }
    let child = Process::new(|value: Value<i32>| value, (value.clone(),))
        .start()
        .unwrap();
    match child.join() {
        Err(error @ Error::Encode(_)) => says_so(&error),
        other => panic!("{:?}", other.err()),
    }
}
