// line 19: error[E0382]
// en: Python raises `RuntimeError: threads can only be started once` when the program runs. Here `start` takes the object, so there is nothing left to start.
// zh: Python 要到运行时才抛出 `RuntimeError: threads can only be started once`。这里 `start` 拿走了对象，没有东西可以再启动。

use shared::threading::Thread;

struct MyThread {
    num: i32,
}

impl Thread for MyThread {
    fn run(self) {
        println!("Thread {} is running", self.num);
    }
}

fn main() {
    let mut threads = Vec::new();
    for i in 0..5 {
        let t = MyThread { num: i };
        // `start` returns the handle that `join` needs.
        threads.push(t.start());
        t.start();
    }

    for t in threads {
        t.join().unwrap();
    }

    println!("All threads have finished.");
}
