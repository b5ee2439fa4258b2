// line 22: error[E0609]
// en: In Python the object outlives its thread, and an attribute is the usual way to a result. Here the thread has taken the object. What has to be there afterwards is shared, for instance in an `Arc`.
// zh: Python 里线程结束了对象还在，通常就用属性取结果。这里对象已经归线程所有，之后还要用的东西得另外共享，例如放在 `Arc` 里。

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
    }

    for t in threads {
        println!("Thread {} is joined", t.num);
        t.join().unwrap();
    }

    println!("All threads have finished.");
}
