//! The functions of examples that share memory, under a pressure that their
//! own programs do not put on them, beside what Python does under less.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use shared::multiprocessing;
use tests::{Suite, run, script};

#[expect(dead_code, reason = "its main is run as a program elsewhere")]
mod shared_memory {
    include!(concat!(env!("OUT_DIR"), "/shared_memory.rs"));

    fn hammer(shared_num: &Value<i32>, shared_arr: &Array<i32>) {
        for _ in 0..25_000 {
            worker(1, shared_num, shared_arr);
        }
    }

    pub fn loses_nothing() {
        let shared_num = Value::new(0).unwrap();
        let shared_arr = Array::new([0, 0]).unwrap();
        let start = |_| {
            Process::new(hammer, (&shared_num, &shared_arr))
                .start()
                .unwrap()
        };
        for p in [0; 4].map(start) {
            p.join().unwrap();
        }
        assert_eq!(shared_num.get(), 100_000);
        assert_eq!(shared_arr.to_vec(), [100_000, 100_000]);
    }
}

#[expect(dead_code, reason = "its main is run as a program elsewhere")]
mod lock {
    include!(concat!(env!("OUT_DIR"), "/lock.rs"));

    pub fn loses_nothing() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..25_000).for_each(|_| increment_counter()));
            }
        });
        assert_eq!(*COUNTER.lock().unwrap(), 100_000);
    }
}

fn main() -> ExitCode {
    multiprocessing::init();

    let mut suite = Suite::new();
    suite.test(
        "shared_memory.rs differs: no update is lost",
        shared_memory::loses_nothing,
    );
    suite.python_test("shared_memory.py differs: updates are lost", || {
        assert!(
            run(&mut script("lose_updates.py"))
                .succeeded()
                .stdout
                .starts_with("lost")
        );
    });
    suite.test("lock.rs loses no count", lock::loses_nothing);
    suite.run()
}
