//! What a run of each example has to keep to, one function for each example.
//! The tests call it with a run that has just ended, the course with one that
//! was recorded. It panics if the run does not keep to it.

use std::collections::HashSet;
use std::time::Duration;

use crate::{Run, numbered};

/// The specification of an example, by its name.
pub fn of(example: &str) -> Option<fn(Run)> {
    Some(match example {
        "process" => process,
        "pool" => pool,
        "shared_memory" => shared_memory,
        "process_queue" => process_queue,
        "thread" => thread,
        "thread_subclass" => thread_subclass,
        "thread_pool" => thread_pool,
        "lock" => lock,
        "thread_queue" => thread_queue,
        "async_await" => async_await,
        "tasks" => tasks,
        "semaphore" => semaphore,
        "async_queue" => async_queue,
        "fetch" => fetch,
        _ => return None,
    })
}

/// Five lines in any order, each from a process of its own, then the last one.
pub fn process(run: Run) {
    let run = run.succeeded();
    let mut lines = run.lines();
    assert_eq!(lines.pop(), Some("All processes have finished."));
    lines.sort_unstable();
    let (workers, pids): (Vec<_>, HashSet<u32>) = lines
        .into_iter()
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(worker, pid)| (worker, pid.parse::<u32>().unwrap()))
        .unzip();
    assert_eq!(workers, numbered("Worker # is running in process"));
    assert_eq!(pids.len(), 5);
    assert!(!pids.contains(&run.pid));
}

/// The squares in order, and not all from one process.
pub fn pool(run: Run) {
    let run = run.succeeded();
    assert_eq!(run.stdout, "[1, 4, 9, 16, 25]\n");
    assert!(run.forked);
}

/// Rust prints the sums. What Python loses is missing in its own.
pub fn shared_memory(run: Run) {
    let run = run.succeeded();
    assert!(run.forked);
    if !run.is_python {
        assert_eq!(
            run.stdout,
            "shared_num: 10\nshared_arr: [11, 12, 13, 14, 15]\n"
        );
        return;
    }
    let text = run.stdout.strip_prefix("shared_num: ").unwrap();
    let (num, arr) = text.split_once("\nshared_arr: [").unwrap();
    let arr = arr.strip_suffix("]\n").unwrap().split(", ");
    let sums: Vec<u32> = [num]
        .into_iter()
        .chain(arr)
        .map(|sum| sum.parse().unwrap())
        .collect();
    assert_eq!(sums.len(), 6);
    for (start, sum) in (0..).zip(sums) {
        assert!((start..=start + 10).contains(&sum));
    }
}

/// All is produced before anything is consumed, in other processes.
pub fn process_queue(run: Run) {
    let run = run.succeeded();
    let expected = [numbered("Produced #"), numbered("Consumed #")].concat();
    assert_eq!(run.lines(), expected);
    assert!(run.forked);
}

/// Five lines in any order, then the last one, all from one process.
pub fn thread(run: Run) {
    five_then_the_end(&run.succeeded(), "Worker # is running");
}

/// As [`thread`].
pub fn thread_subclass(run: Run) {
    five_then_the_end(&run.succeeded(), "Thread # is running");
}

fn five_then_the_end(run: &Run, pattern: &str) {
    let mut lines = run.lines();
    assert_eq!(lines.pop(), Some("All threads have finished."));
    lines.sort_unstable();
    assert_eq!(lines, numbered(pattern));
    assert!(!run.forked);
}

/// The squares in order.
pub fn thread_pool(run: Run) {
    assert_eq!(run.succeeded().stdout, "[1, 4, 9, 16, 25]\n");
}

/// No count is lost.
pub fn lock(run: Run) {
    assert_eq!(run.succeeded().stdout, "Final counter value: 1000\n");
}

/// Both in order; an item is announced as produced before the next one can be
/// consumed. Python may lose the last items, Rust none.
pub fn thread_queue(run: Run) {
    let run = run.succeeded();
    let lines = run.lines();
    let (produced, consumed): (Vec<_>, Vec<_>) = lines
        .iter()
        .copied()
        .partition(|line| line.starts_with("Produced"));
    assert_eq!(produced, numbered("Produced #"));
    assert_eq!(consumed, numbered("Consumed #")[..consumed.len()]);
    if !run.is_python {
        assert_eq!(consumed.len(), 5);
    }
    let place = |line: &&str| lines.iter().position(|other| other == line);
    for (before, after) in produced.iter().zip(consumed.iter().skip(1)) {
        assert!(place(before) < place(after), "{after:?} before {before:?}");
    }
}

/// `Hello` after a second.
pub fn async_await(run: Run) {
    let run = run.succeeded();
    assert_eq!(run.stdout, "Hello\n");
    assert!(run.elapsed >= Duration::from_secs(1));
}

/// `Worker 0..4 is starting`, then `Worker 0..4 is finished`, in a second.
pub fn tasks(run: Run) {
    let run = run.succeeded();
    let expected = [
        numbered("Worker # is starting"),
        numbered("Worker # is finished"),
    ]
    .concat();
    assert_eq!(run.lines(), expected);
    assert!(run.elapsed >= Duration::from_secs(1));
}

/// Starts and finishes ascend each, and two workers run at a time, never more.
pub fn semaphore(run: Run) {
    let run = run.succeeded();
    let (starts, ends): (Vec<_>, Vec<_>) = run
        .lines()
        .into_iter()
        .partition(|line| line.ends_with("is starting"));
    assert_eq!(starts, numbered("Worker # is starting"));
    assert_eq!(ends, numbered("Worker # is finished"));
    let mut running = 0;
    let mut most = 0;
    for line in run.lines() {
        running += if line.ends_with("is starting") { 1 } else { -1 };
        assert!(running >= 0, "finished before it started");
        most = most.max(running);
    }
    assert_eq!(most, 2);
    assert!(run.elapsed >= Duration::from_secs(3));
}

/// `Produced i`, `Consumed i` for each item, and a second after each.
pub fn async_queue(run: Run) {
    let run = run.succeeded();
    let expected: Vec<_> = numbered("Produced #")
        .into_iter()
        .zip(numbered("Consumed #"))
        .flat_map(<[_; 2]>::from)
        .collect();
    assert_eq!(run.lines(), expected);
    assert!(run.elapsed >= Duration::from_secs(5));
}

/// The pages `/0`, `/1` and `/2` in the order in which they were asked for, from
/// a server that answers the last one first. Each page is its own name.
pub fn fetch(run: Run) {
    assert_eq!(run.succeeded().stdout, "/0\n/1\n/2\n");
}
