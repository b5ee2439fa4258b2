// never ends
// en: The loop of the consumer ends when the last sender is dropped, and `main` has one for as long as it waits for the consumer. Give the producer the sender itself, or drop it before `join`.
// zh: 最后一个发送端丢弃了，消费者的循环才结束，而 `main` 手里还有一个，又在等消费者。应该把发送端本身交给生产者，或者在 `join` 之前丢弃它。

// As with Python's queue, any number of threads may receive. With std's `mpsc`
// only one may, which would do here.
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::thread;

fn producer(q: Sender<i32>) {
    for i in 0..5 {
        q.send(i).unwrap(); // an error if no consumer is left
        println!("Produced {i}");
    }
    // The clone is dropped here, but `main` still has the sender.
}

fn consumer(q: Receiver<i32>) {
    // The loop waits for each item, and ends when the channel is empty and
    // closed.
    for item in q {
        println!("Consumed {item}");
    }
}

fn main() {
    let (sender, receiver) = unbounded(); // the two ends of the queue
    let mut threads = Vec::new();

    // `move` gives each thread its end of the queue; `spawn` also starts it.
    let q = sender.clone();
    let t1 = thread::spawn(move || producer(q));
    let t2 = thread::spawn(move || consumer(receiver));

    threads.push(t1);
    threads.push(t2);

    for t in threads {
        t.join().unwrap();
    }
}
