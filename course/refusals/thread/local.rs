// line 11: error[E0373]
// en: The thread would read `i` after the loop has gone on, or after `main` has returned. In Python a `lambda: worker(i)` does that: it reads `i` when it runs, so two threads may print the same number.
// zh: 线程读 `i` 时，循环可能已经走到下一轮，`main` 可能已经返回。Python 的 `lambda: worker(i)` 正是这样：运行时才读 `i`，两个线程可能打印同一个数。

use std::thread;

/// The task that each thread runs.
fn worker(num: i32) {
    println!("Worker {num} is running");
}

fn main() {
    let mut threads = Vec::new();
    for i in 0..5 {
        let t = thread::spawn(|| worker(i));
        threads.push(t); // already running, because `spawn` starts it
    }

    // A thread that is not joined ends when `main` returns. Python would
    // still wait for it.
    for t in threads {
        t.join().unwrap();
    }

    println!("All threads have finished.");
}
