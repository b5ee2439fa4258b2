// never ends
// en: A channel ends when its last sender is gone, and then `recv` is an error. A queue between processes has no end: when it is empty, `get` waits for the next item, also when no producer is left. Send an item that means the end, or use `get_timeout`.
// zh: 通道的最后一个发送端没了，通道就结束，`recv` 返回错误。进程间的队列没有结束：队列一空，`get` 就等下一个元素，哪怕已经没有生产者。可以发送一个表示结束的元素，或者用 `get_timeout`。

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
    while let Ok(item) = q.get() {
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
