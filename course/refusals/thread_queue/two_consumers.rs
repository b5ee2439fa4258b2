// line 28: error[E0599]
// en: Any number of Python threads may get from a `queue.Queue`. The receiver of std's channel belongs to one thread and cannot be cloned; that of `crossbeam_channel` can.
// zh: Python 的 `queue.Queue` 可以让任意多个线程取元素。标准库通道的接收端只属于一个线程，不能克隆；`crossbeam_channel` 的可以。

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

fn producer(q: Sender<i32>) {
    for i in 0..5 {
        q.send(i).unwrap(); // an error if no consumer is left
        println!("Produced {i}");
    }
    // The only sender is dropped here, which closes the channel.
}

fn consumer(q: Receiver<i32>) {
    // The loop waits for each item, and ends when the channel is empty and
    // closed.
    for item in q {
        println!("Consumed {item}");
    }
}

fn main() {
    let (sender, receiver) = channel(); // the two ends of the queue
    let mut threads = Vec::new();

    // `move` gives each thread its end of the queue; `spawn` also starts it.
    let t1 = thread::spawn(move || producer(sender));
    let another = receiver.clone();
    let t2 = thread::spawn(move || consumer(receiver));
    let t3 = thread::spawn(move || consumer(another));

    threads.push(t1);
    threads.push(t2);
    threads.push(t3);

    for t in threads {
        t.join().unwrap();
    }
}
