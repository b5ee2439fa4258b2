// line 7: error[E0046]
// en: Python starts a thread that does nothing and ends, because `Thread.run` has a body; a misspelt `run` goes unnoticed in the same way. Here the trait has none to inherit.
// zh: Python 会启动一个什么也不做就结束的线程，因为 `Thread.run` 本身有实现；`run` 拼错了也一样没人发现。这里的 trait 没有可以继承的实现。

use shared::threading::Thread;

struct MyThread {
    num: i32,
}

impl Thread for MyThread {}

fn main() {
    let mut threads = Vec::new();
    for i in 0..5 {
        let t = MyThread { num: i };
        // `start` returns the handle that `join` needs.
        threads.push(t.start());
    }

    for t in threads {
        t.join().unwrap();
    }

    println!("All threads have finished.");
}
