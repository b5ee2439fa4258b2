// ends with code 0
// en: When `main` returns, the process ends, and with it every thread, wherever it is: no worker comes to its line. Python waits at its end for each thread that is not a daemon.
// zh: `main` 一返回，进程就结束，所有线程不管运行到哪里都随之结束：没有一个线程打印出自己那一行。Python 退出之前会等所有不是守护线程（daemon）的线程。

use std::{thread, time::Duration};

/// The task that each thread runs.
fn worker(num: i32) {
    thread::sleep(Duration::from_secs(10));
    println!("Worker {num} is running");
}

fn main() {
    for i in 0..5 {
        thread::spawn(move || worker(i));
    }

    println!("All threads have started.");
}
