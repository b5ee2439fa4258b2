// line 13: error[E0277]
// en: Python raises `TypeError: 'Queue' object is not iterable`. A queue between processes has no end: any process may still put an item.
// zh: Python 会抛出 `TypeError: 'Queue' object is not iterable`。进程间的队列没有尽头：任何进程都可能再放一个元素。

use shared::multiprocessing::{self, Process, Queue};

fn producer(q: &Queue<i32>) {
    for i in 0..5 {
        // If `put` fails, `unwrap` panics, which ends the process as an
        // exception does in Python.
        q.put(i).unwrap();
        println!("Produced {i}");
    }
}

fn consumer(q: &Queue<i32>) {
    for item in q {
        println!("Consumed {item}");
    }
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child calls its target in here, and exits
    let q = Queue::new()?;

    let p1 = Process::new(producer, (&q,));
    let p2 = Process::new(consumer, (&q,));

    let p1 = p1.start()?;
    p1.join()?;

    let p2 = p2.start()?;
    p2.join()?;
    Ok(())
}
