// line 33: error[E0382]
// en: In Python both threads hold the same queue, and so does `main`. Here `move` has given the sender to the thread; a second sender is a `clone` of it, made before.
// zh: Python 里两个线程和 `main` 都拿着同一个队列。这里 `move` 已经把发送端交给了线程；要再用一个，得在那之前用 `clone` 克隆一份。

// As with Python's queue, any number of threads may receive. With std's `mpsc`
// only one may, which would do here.
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::thread;

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
    let (sender, receiver) = unbounded(); // the two ends of the queue
    let mut threads = Vec::new();

    // `move` gives each thread its end of the queue; `spawn` also starts it.
    let t1 = thread::spawn(move || producer(sender));
    let t2 = thread::spawn(move || consumer(receiver));

    threads.push(t1);
    threads.push(t2);

    sender.send(5).unwrap();
    for t in threads {
        t.join().unwrap();
    }
}
