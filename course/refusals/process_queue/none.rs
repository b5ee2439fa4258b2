// line 10: error[E0308]
// en: Python's queue takes any object, so `None` can say that no more comes, and each consumer has to test for it. Here the items have one type: make it `Queue<Option<i32>>`, and the compiler makes the consumer test.
// zh: Python 的队列什么对象都收，可以用 `None` 表示没有了，每个消费者都得自己检查。这里的元素只有一种类型：写成 `Queue<Option<i32>>`，编译器就会要求消费者检查。

use shared::multiprocessing::{self, Process, Queue};

fn producer(q: &Queue<i32>) {
    for i in 0..5 {
        // If `put` fails, `unwrap` panics, which ends the process as an
        // exception does in Python.
        q.put(i).unwrap();
        println!("Produced {i}");
    }
    q.put(None).unwrap();
}

fn consumer(q: &Queue<i32>) {
    while !q.is_empty() {
        let item = q.get().unwrap();
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
