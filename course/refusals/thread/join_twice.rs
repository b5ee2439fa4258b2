// line 19: error[E0507]
// en: Python may join a thread as often as it likes. Here `join` returns the thread's result and can do so only once, so it takes the handle: loop over `threads`, not over `&threads`.
// zh: Python 可以对同一个线程多次调用 `join`。这里的 `join` 要交出线程的结果，只能交一次，所以会拿走句柄：遍历 `threads`，不要遍历 `&threads`。

use std::thread;

/// The task that each thread runs.
fn worker(num: i32) {
    println!("Worker {num} is running");
}

fn main() {
    let mut threads = Vec::new();
    for i in 0..5 {
        // `move` copies `i` into the closure: the thread may outlive the loop.
        let t = thread::spawn(move || worker(i));
        threads.push(t); // already running, because `spawn` starts it
    }

    // A thread that is not joined ends when `main` returns. Python would
    // still wait for it.
    for t in &threads {
        t.join().unwrap();
    }

    println!("All threads have finished.");
}
