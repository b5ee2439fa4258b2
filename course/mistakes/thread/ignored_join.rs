// ends with code 0
// en: `join` returns the panic of the thread as an error, and `let _` throws it away: the program goes on and exits 0, as Python does after it has printed the exception.
// zh: 线程发生 panic，`join` 会把它作为错误返回，`let _` 却把错误丢了：程序照样往下走，退出码是 0，和 Python 打印异常之后一样。

use std::thread;

/// The task that each thread runs.
fn worker(num: i32) {
    assert!(num != 3, "worker {num} fails");
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
    for t in threads {
        let _ = t.join();
    }

    println!("All threads have finished.");
}
