//! The functions of examples under a pressure that their own programs do not
//! put on them, beside what Python does under less.

#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;

use shared::multiprocessing;
use tests::{Suite, command, numbered, run, script};

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

#[expect(dead_code, reason = "its main is run as a program elsewhere")]
mod thread_queue {
    include!(concat!(env!("OUT_DIR"), "/thread_queue.rs"));

    /// A producer that needs ten milliseconds for each item.
    pub fn with_a_slow_producer() {
        let (sender, receiver) = unbounded();
        let t2 = thread::spawn(|| consumer(receiver));
        for i in 0..5 {
            thread::sleep(std::time::Duration::from_millis(10));
            sender.send(i).unwrap();
        }
        drop(sender);
        t2.join().unwrap();
    }
}

fn main() -> ExitCode {
    multiprocessing::init();

    // The consumer prints, so it runs in a process of its own: this one again.
    if env::args().nth(1).as_deref() == Some("thread_queue") {
        thread_queue::with_a_slow_producer();
        return ExitCode::SUCCESS;
    }

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
    suite.test("thread_queue.rs differs: a slow producer's items", || {
        let this = env::current_exe().unwrap();
        let run = run(command(this.to_str().unwrap()).arg("thread_queue")).succeeded();
        assert_eq!(run.lines(), numbered("Consumed #"));
    });
    suite.python_test("thread_queue.py differs: a slow producer's items", || {
        let example = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../threading/src/bin/thread_queue.py"
        );
        let run = run(script("slow_producer.py").arg(example)).succeeded();
        let consumed = run
            .lines()
            .iter()
            .filter(|line| line.starts_with("Consumed"))
            .count();
        assert!(consumed < 5);
        assert_eq!(run.lines().len() - consumed, 5);
    });
    suite.run()
}
