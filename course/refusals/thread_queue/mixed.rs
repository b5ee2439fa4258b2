// line 11: error[E0308]
// en: Python's queue takes any object, and the consumer has to find out what it got. A channel carries one type; the end needs no item, since the channel closes with its last sender.
// zh: Python 的队列什么对象都收，拿到的是什么，要消费者自己弄清楚。通道只传一种类型；结束也不需要专门的元素，最后一个发送端一丢弃，通道就关闭。

// As with Python's queue, any number of threads may receive. With std's `mpsc`
// only one may, which would do here.
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::thread;

fn producer(q: Sender<i32>) {
    for i in 0..5 {
        q.send(i).unwrap(); // an error if no consumer is left
        println!("Produced {i}");
    }
    q.send("done").unwrap();
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

    for t in threads {
        t.join().unwrap();
    }
}
