// ends with code 0
// en: `run` is an ordinary method: it runs in the thread that calls it, so here everything happens in `main`, one after the other. Python's `run` does the same.
// zh: `run` 只是普通方法，谁调用就在谁的线程里运行，所以这里都在 `main` 里一个接一个地执行。Python 的 `run` 也一样。

use shared::threading::Thread;
use std::thread;

struct MyThread {
    num: i32,
}

impl Thread for MyThread {
    fn run(self) {
        let name = thread::current().name().unwrap_or("new").to_string();
        println!("Thread {} is running in the {name} thread", self.num);
    }
}

fn main() {
    for i in 0..5 {
        let t = MyThread { num: i };
        t.run();
    }

    println!("All threads have finished.");
}
