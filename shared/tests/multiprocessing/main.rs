//! What `shared::multiprocessing` promises, also when processes fail or are killed.
//!
//! This test target has a `main` of its own, which calls `init` before anything
//! else, because a child process is this executable run again. Each test runs in a
//! process of its own; see [`harness`].

#[macro_use]
mod harness;
mod fussy;

mod kill_points;
mod limits;
mod memory;
mod pipe;
mod pool;
mod pool_faults;
mod process;
mod queue;

use std::process::ExitCode;

use harness::Suite;

fn main() -> ExitCode {
    harness::main(&[
        Suite {
            name: "process",
            tests: process::TESTS,
            programs: process::PROGRAMS,
        },
        Suite {
            name: "memory",
            tests: memory::TESTS,
            programs: &[],
        },
        Suite {
            name: "queue",
            tests: queue::TESTS,
            programs: &[],
        },
        Suite {
            name: "pipe",
            tests: pipe::TESTS,
            programs: &[],
        },
        Suite {
            name: "pool",
            tests: pool::TESTS,
            programs: pool::PROGRAMS,
        },
        Suite {
            name: "pool_faults",
            tests: pool_faults::TESTS,
            programs: pool_faults::PROGRAMS,
        },
        Suite {
            name: "limits",
            tests: limits::TESTS,
            programs: limits::PROGRAMS,
        },
        Suite {
            name: "kill_points",
            tests: kill_points::TESTS,
            programs: &[],
        },
    ])
}
