//! `pipe` and `Connection`: order, ends, boundaries, time-outs.

use std::time::{Duration, Instant};
use std::{panic, thread};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::Pid;
use serde::Serialize;
use shared::multiprocessing::{Connection, Error, Process, Queue, pipe};

use crate::fussy::{Fussy, UNDECODABLE, UNENCODABLE};
use crate::harness::{act_by_default, is_asleep, is_stopped, within};
use crate::queue::address_space;

pub const TESTS: &[(&str, fn())] = named![
    each_end_sends_what_the_other_receives,
    everything_sent_is_received_before_eof,
    sending_to_a_closed_peer_is_broken_pipe_and_no_signal,
    poll_returns_at_once_or_waits_up_to_its_timeout_or_without_limit,
    poll_returns_true_when_the_other_end_is_closed,
    an_empty_message_is_a_message,
    messages_keep_their_boundaries,
    a_message_of_256_mib_arrives_whole,
    a_peer_killed_half_way_through_a_message_ends_recv,
    a_peer_killed_half_way_through_a_message_ends_send,
    recv_times_out,
    a_recv_that_times_out_half_way_loses_nothing,
    send_times_out,
    a_send_that_times_out_half_way_breaks_no_boundary,
    a_message_that_cannot_be_encoded_is_an_error_at_send,
    a_message_that_cannot_be_decoded_is_an_error_at_recv,
    an_end_that_only_a_child_holds_closes_with_it,
    many_messages_each_way_at_once,
    two_processes_that_receive_at_one_end_keep_their_time_outs,
    two_processes_that_send_and_two_that_receive_mix_no_messages,
    everything_sent_is_received_if_the_peer_closes_with_something_unread,
    a_large_message_can_be_sent_before_anybody_receives,
    a_recv_beside_a_stopped_sender_times_out,
    a_send_to_a_stopped_receiver_times_out_and_others_can_follow,
    a_message_larger_than_memory_is_an_error_and_the_next_is_fine,
    a_large_message_waits_for_a_descriptor,
    a_time_out_of_one_thread_does_not_time_out_another,
];

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);
const MIB: usize = 1 << 20;

fn each_end_sends_what_the_other_receives() {
    let (left, right) = pipe::<String, u64>().unwrap();
    let measures = |end: Connection<u64, String>| {
        let text = end.recv().unwrap();
        end.send(text.len() as u64).unwrap();
    };
    let child = Process::new(measures, (right,)).start().unwrap();
    left.send("hello".to_string()).unwrap();
    assert_eq!(left.recv().unwrap(), 5);
    child.join().unwrap();
}

fn everything_sent_is_received_before_eof() {
    let (left, right) = pipe::<u32, ()>().unwrap();
    let sends = |end: Connection<u32, ()>| (0..100).for_each(|n| end.send(n).unwrap());
    Process::new(sends, (left,))
        .start()
        .unwrap()
        .join()
        .unwrap();
    for n in 0..100 {
        assert_eq!(right.recv().unwrap(), n);
    }
    for _ in 0..2 {
        assert!(matches!(right.recv(), Err(Error::Eof)));
        assert!(matches!(right.recv_timeout(LONG), Err(Error::Eof)));
    }
}

fn sending_to_a_closed_peer_is_broken_pipe_and_no_signal() {
    // Rust's runtime ignores SIGPIPE, but a program may restore the default.
    act_by_default(Signal::SIGPIPE);
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    drop(right);
    for size in [0, 1, 16 * MIB] {
        let error = left.send(vec![0; size]).unwrap_err();
        assert!(matches!(error, Error::BrokenPipe), "{error:?}");
        let error = left.send_timeout(vec![0; size], LONG).unwrap_err();
        assert!(matches!(error, Error::BrokenPipe), "{error:?}");
    }
}

fn poll_returns_at_once_or_waits_up_to_its_timeout_or_without_limit() {
    let (left, right) = pipe::<u8, u8>().unwrap();
    assert!(!left.poll(Duration::ZERO).unwrap());
    let start = Instant::now();
    assert!(!left.poll(SHORT).unwrap());
    assert!(start.elapsed() >= SHORT);
    let echoes = |end: Connection<u8, u8>| {
        let got = end.recv().unwrap();
        end.send(got).unwrap();
        end.recv().unwrap()
    };
    let child = Process::new(echoes, (right,)).start().unwrap();
    left.send(7).unwrap();
    assert!(left.poll(None).unwrap());
    assert!(left.poll(Duration::MAX).unwrap());
    assert!(left.poll(Duration::ZERO).unwrap());
    // `poll` has received nothing.
    assert_eq!(left.recv().unwrap(), 7);
    assert!(!left.poll(Duration::ZERO).unwrap());
    left.send(8).unwrap();
    assert_eq!(child.join().unwrap(), 8);
}

fn poll_returns_true_when_the_other_end_is_closed() {
    let (left, right) = pipe::<(), ()>().unwrap();
    let waiting = thread::spawn(move || (left.poll(None), left.recv()));
    drop(right);
    let (polled, received) = waiting.join().unwrap();
    assert!(polled.unwrap() && matches!(received, Err(Error::Eof)));
}

fn an_empty_message_is_a_message() {
    let (left, right) = pipe::<(), Vec<u8>>().unwrap();
    for _ in 0..3 {
        left.send(()).unwrap();
        right.send(vec![]).unwrap();
    }
    for _ in 0..3 {
        right.recv().unwrap();
        assert_eq!(left.recv().unwrap(), []);
    }
    drop(left);
    assert!(matches!(right.recv(), Err(Error::Eof)));
}

fn messages_keep_their_boundaries() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    let sizes = [
        0, 1, 2, 3, 4, 5, 7, 8, 9, 127, 128, 4095, 4096, 4097, 65_535, 65_536, 300_000,
    ];
    let sends = |end: Connection<Vec<u8>, ()>, sizes: Vec<usize>| {
        for size in sizes {
            end.send(vec![size as u8; size]).unwrap();
        }
    };
    let child = Process::new(sends, (left, sizes.to_vec())).start().unwrap();
    for size in sizes {
        assert_eq!(right.recv().unwrap(), vec![size as u8; size]);
    }
    assert!(matches!(right.recv(), Err(Error::Eof)));
    child.join().unwrap();
}

fn a_message_of_256_mib_arrives_whole() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    let sends = |end: Connection<Vec<u8>, ()>| {
        let mut message = vec![7; 256 * MIB];
        *message.last_mut().unwrap() = 9;
        end.send(message).unwrap();
        end.send(vec![1]).unwrap();
    };
    let child = Process::new(sends, (left,)).start().unwrap();
    let message = right.recv().unwrap();
    assert!(message.len() == 256 * MIB && message[..256 * MIB - 1].iter().all(|&byte| byte == 7));
    assert_eq!(message.last(), Some(&9));
    drop(message);
    assert_eq!(right.recv().unwrap(), [1]);
    child.join().unwrap();
}

fn a_peer_killed_half_way_through_a_message_ends_recv() {
    fn sends(end: Connection<Vec<u8>, ()>, size: usize) {
        loop {
            end.send(vec![7; size]).unwrap();
        }
    }
    // Some fit into a packet, and some into no buffer of the system's.
    for (size, delay) in [(10, 0), (60_000, 1), (MIB, 1), (MIB, 7), (8 * MIB, 3)] {
        let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
        let child = Process::new(sends, (left, size)).start().unwrap();
        assert_eq!(right.recv().unwrap().len(), size);
        thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        let error = loop {
            match right.recv() {
                Ok(message) => assert!(message.len() == size && message.iter().all(|&b| b == 7)),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Eof | Error::Corrupt(_)), "{error:?}");
        assert!(matches!(right.recv(), Err(Error::Eof)));
        assert!(child.join().is_err());
    }
}

fn a_peer_killed_half_way_through_a_message_ends_send() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    let begun = Queue::new().unwrap();
    let dies = |end: Connection<(), Vec<u8>>, begun: &Queue<()>| {
        // A part of the message has arrived, and the sender is sending the rest.
        end.poll(None).unwrap();
        begun.put(()).unwrap();
        raise(Signal::SIGKILL).unwrap();
    };
    let child = Process::new(dies, (right, &begun)).start().unwrap();
    let error = loop {
        if let Err(error) = left.send(vec![7; 4 * MIB]) {
            break error;
        }
    };
    assert!(matches!(error, Error::BrokenPipe), "{error:?}");
    begun.get().unwrap();
    assert!(child.join().is_err());
}

fn recv_times_out() {
    let (left, right) = pipe::<u8, ()>().unwrap();
    for time in [Duration::ZERO, SHORT] {
        let start = Instant::now();
        assert!(matches!(right.recv_timeout(time), Err(Error::Timeout)));
        assert!(start.elapsed() >= time);
    }
    left.send(1).unwrap();
    assert_eq!(right.recv_timeout(Duration::ZERO).unwrap(), 1);
    left.send(2).unwrap();
    assert_eq!(right.recv_timeout(Duration::MAX).unwrap(), 2);
}

fn a_recv_that_times_out_half_way_loses_nothing() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    let sending = thread::spawn(move || {
        left.send(vec![7; 64 * MIB]).unwrap();
        left.send(vec![8]).unwrap();
    });
    let mut timeouts = 0;
    let message = loop {
        match right.recv_timeout(Duration::from_micros(200)) {
            Ok(message) => break message,
            Err(Error::Timeout) => timeouts += 1,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(message.len() == 64 * MIB && message.iter().all(|&byte| byte == 7));
    assert!(timeouts > 0, "no recv has timed out half way");
    assert_eq!(right.recv().unwrap(), [8]);
    sending.join().unwrap();
}

fn send_times_out() {
    let (left, right) = pipe::<[u64; 32], ()>().unwrap();
    fill(&left, [7; 32]);
    let start = Instant::now();
    assert!(matches!(
        left.send_timeout([7; 32], SHORT),
        Err(Error::Timeout)
    ));
    assert!(start.elapsed() >= SHORT);
    // Sending works again when there is room.
    thread::scope(|scope| {
        scope.spawn(|| left.send([8; 32]).unwrap());
        while right.recv().unwrap() == [7; 32] {}
    });
    assert!(!right.poll(Duration::ZERO).unwrap());
}

/// Sends until there is no room.
fn fill<S: Copy + Serialize + 'static, R>(end: &Connection<S, R>, message: S) {
    for _ in 0..1_000_000 {
        match end.send_timeout(message, Duration::ZERO) {
            Ok(()) => {}
            Err(Error::Timeout) => return,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("there is always room");
}

fn a_send_that_times_out_half_way_breaks_no_boundary() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    left.send(vec![1]).unwrap();
    // Until one does not fit: because nobody receives it, or because of the unread
    // messages before it.
    while left.send_timeout(vec![2; MIB], SHORT).is_ok() {}
    let receiving = thread::spawn(move || {
        let messages = std::iter::from_fn(|| right.recv().ok());
        messages
            .map(|message| (message.first().copied(), message.len()))
            .collect::<Vec<_>>()
    });
    // This may fail or succeed; only what arrives is specified.
    _ = left.send(vec![3]);
    drop(left);
    let received = receiving.join().unwrap();
    assert_eq!(received[0], (Some(1), 1));
    for message in received {
        assert!(
            [(Some(1), 1), (Some(2), MIB), (Some(3), 1)].contains(&message),
            "{message:?}"
        );
    }
}

fn a_message_that_cannot_be_encoded_is_an_error_at_send() {
    let (left, right) = pipe::<Fussy, ()>().unwrap();
    assert!(matches!(
        left.send(Fussy(UNENCODABLE)),
        Err(Error::Encode(_))
    ));
    left.send(Fussy(1)).unwrap();
    assert_eq!(right.recv().unwrap(), Fussy(1));
}

fn a_message_that_cannot_be_decoded_is_an_error_at_recv() {
    let (left, right) = pipe::<Fussy, ()>().unwrap();
    left.send(Fussy(UNDECODABLE)).unwrap();
    left.send(Fussy(1)).unwrap();
    assert!(matches!(right.recv(), Err(Error::Decode(_))));
    assert_eq!(right.recv().unwrap(), Fussy(1));
}

fn an_end_that_only_a_child_holds_closes_with_it() {
    let (left, right) = pipe::<(), ()>().unwrap();
    let child = Process::new(|end: Connection<(), ()>| drop(end.recv()), (right,))
        .start()
        .unwrap();
    // A process that is started meanwhile does not hold the end open.
    let bystander = Process::new(thread::park, ()).daemon(true).start().unwrap();
    child.kill().unwrap();
    assert!(matches!(left.recv(), Err(Error::Eof)));
    assert!(matches!(left.send(()), Err(Error::BrokenPipe)));
    drop((child, bystander));
}

fn many_messages_each_way_at_once() {
    let (left, right) = pipe::<u32, u32>().unwrap();
    let answers = |end: Connection<u32, u32>| {
        for _ in 0..10_000 {
            let got = end.recv().unwrap();
            end.send(got + 1).unwrap();
        }
    };
    let child = Process::new(answers, (right,)).start().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| (0..10_000).for_each(|n| left.send(n).unwrap()));
        for n in 0..10_000 {
            assert_eq!(left.recv().unwrap(), n + 1);
        }
    });
    child.join().unwrap();
}

/// A message whose size and content follow from its number.
fn message(n: usize) -> Vec<u8> {
    let size = match n % 10 {
        0 => 300_000 + n,
        1 => 33_000 + n,
        _ => 8 + n % 100,
    };
    let mut message = vec![n as u8; size];
    message[..8].copy_from_slice(&n.to_ne_bytes());
    message
}

/// The number of a message. Asserts that the message is whole.
fn number(got: &[u8]) -> usize {
    let n = usize::from_ne_bytes(got[..8].try_into().unwrap());
    assert!(got == message(n), "message {n} is not whole");
    n
}

/// Receives messages until the other end is closed. Returns their numbers, and the
/// longest time that a `recv_timeout` of a millisecond took.
fn receives(end: Connection<(), Vec<u8>>) -> (Vec<usize>, Duration) {
    let (mut numbers, mut longest) = (Vec::new(), Duration::ZERO);
    loop {
        let start = Instant::now();
        let answer = end.recv_timeout(Duration::from_millis(1));
        longest = longest.max(start.elapsed());
        match answer {
            Ok(got) => numbers.push(number(&got)),
            Err(Error::Timeout) => {}
            Err(Error::Eof) => return (numbers, longest),
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn two_processes_that_receive_at_one_end_keep_their_time_outs() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    let receivers: Vec<_> = (0..2)
        .map(|_| Process::new(receives, (right.clone(),)).start().unwrap())
        .collect();
    drop(right);
    for n in 0..3_000 {
        left.send(message(n)).unwrap();
        // Now and then both of them wait.
        if n % 100 == 0 {
            thread::sleep(Duration::from_millis(3));
        }
    }
    drop(left);
    let mut all = Vec::new();
    for receiver in receivers {
        assert!(
            receiver.join_timeout(LONG).unwrap(),
            "a receiver waits for ever"
        );
        let (numbers, longest) = receiver.join().unwrap();
        assert!(longest < Duration::from_secs(2), "it took {longest:?}");
        all.extend(numbers);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..3_000));
}

fn two_processes_that_send_and_two_that_receive_mix_no_messages() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    let sends = |end: Connection<Vec<u8>, ()>, start: usize| {
        for n in start..start + 1_000 {
            end.send(message(n)).unwrap();
        }
    };
    let senders: Vec<_> = [0, 1_000]
        .map(|start| Process::new(sends, (left.clone(), start)).start().unwrap())
        .into();
    let receivers: Vec<_> = (0..2)
        .map(|_| Process::new(receives, (right.clone(),)).start().unwrap())
        .collect();
    drop((left, right));
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
    let mut all = Vec::new();
    for receiver in receivers {
        all.extend(receiver.join().unwrap().0);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..2_000));
}

fn everything_sent_is_received_if_the_peer_closes_with_something_unread() {
    let closes = |end: Connection<Vec<u8>, u8>| {
        end.poll(None).unwrap();
        for n in 2..5 {
            end.send(message(n)).unwrap();
        }
        // Closes its end here, with a message unread.
    };
    let receives = |end: &Connection<u8, Vec<u8>>, round| {
        for n in 2..5 {
            let got = match round % 3 {
                0 => end.recv(),
                1 => end.recv_timeout(LONG),
                _ => end
                    .poll(None)
                    .and_then(|_| end.recv_timeout(Duration::ZERO)),
            };
            assert_eq!(number(&got.unwrap()), n);
        }
        assert!(end.poll(LONG).unwrap());
        assert!(matches!(end.recv(), Err(Error::Eof)));
        assert!(matches!(end.send(1), Err(Error::BrokenPipe)));
    };
    for round in 0..1_000 {
        let (left, right) = pipe::<Vec<u8>, u8>().unwrap();
        right.send(1).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| closes(left));
            receives(&right, round);
        });
    }
    // The same, when the peer has ended before anything is received.
    for round in 0..3 {
        let (left, right) = pipe::<Vec<u8>, u8>().unwrap();
        right.send(1).unwrap();
        Process::new(closes, (left,))
            .start()
            .unwrap()
            .join()
            .unwrap();
        assert!(right.poll(Duration::ZERO).unwrap());
        receives(&right, round);
    }
}

fn a_large_message_can_be_sent_before_anybody_receives() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    for size in [32_768, 32_769, 100_000] {
        left.send(vec![1; size]).unwrap();
    }
    drop(left);
    for size in [32_768, 32_769, 100_000] {
        assert_eq!(right.recv().unwrap(), vec![1; size]);
    }
    assert!(matches!(right.recv(), Err(Error::Eof)));
}

/// Stops a process by SIGSTOP when it waits for something.
fn stop(pid: u32) {
    within(LONG, || is_asleep(pid)).unwrap();
    kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).unwrap();
    within(LONG, || is_stopped(pid)).unwrap();
}

fn resume(pid: u32) {
    kill(Pid::from_raw(pid as i32), Signal::SIGCONT).unwrap();
}

fn a_recv_beside_a_stopped_sender_times_out() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    let sends = |end: Connection<Vec<u8>, ()>| end.send(vec![7; 4 * MIB]).unwrap();
    let sender = Process::new(sends, (left.clone(),)).start().unwrap();
    right.poll(None).unwrap();
    stop(sender.pid());
    let start = Instant::now();
    for time in [Duration::ZERO, Duration::from_millis(1), SHORT] {
        assert!(matches!(right.recv_timeout(time), Err(Error::Timeout)));
    }
    _ = right.poll(Duration::ZERO).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    // The stopped sender does not keep another process from sending.
    left.send_timeout(vec![8], LONG).unwrap();
    resume(sender.pid());
    assert_eq!(right.recv().unwrap(), vec![7; 4 * MIB]);
    assert_eq!(right.recv().unwrap(), [8]);
    sender.join().unwrap();
}

fn a_send_to_a_stopped_receiver_times_out_and_others_can_follow() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    let collects = |end: Connection<(), Vec<u8>>| {
        let all = std::iter::from_fn(|| end.recv().ok());
        all.map(|message| message.len()).collect::<Vec<_>>()
    };
    let receiver = Process::new(collects, (right,)).start().unwrap();
    left.send(vec![1; 10]).unwrap();
    stop(receiver.pid());
    for time in [Duration::ZERO, SHORT] {
        let start = Instant::now();
        let answer = left.send_timeout(vec![2; 4 * MIB], time);
        assert!(matches!(answer, Err(Error::Timeout)), "{answer:?}");
        let taken = start.elapsed();
        assert!(taken >= time && taken < time + Duration::from_secs(5));
    }
    left.send(vec![3; 20]).unwrap();
    resume(receiver.pid());
    left.send(vec![4; 4 * MIB]).unwrap();
    drop(left);
    assert_eq!(receiver.join().unwrap(), [10, 20, 4 * MIB]);
}

fn a_message_larger_than_memory_is_an_error_and_the_next_is_fine() {
    fn receives(end: &Connection<(), Vec<u8>>) -> Vec<Result<usize, String>> {
        let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
        let limit = address_space() + 30 * MIB as u64;
        setrlimit(Resource::RLIMIT_AS, limit, hard).unwrap();
        (0..3)
            .map(|_| match end.recv_timeout(LONG) {
                Ok(message) => Ok(message.len()),
                Err(error @ Error::Decode(_)) => Err(error.to_string()),
                Err(error) => panic!("{error:?}"),
            })
            .collect()
    }
    let size = 100 * MIB;
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    let receiver = Process::new(receives, (&right,)).start().unwrap();
    left.send(vec![1; 10]).unwrap();
    // The sender learns that its message is not received.
    let error = left.send(vec![2; size]).unwrap_err();
    assert!(matches!(error, Error::System { .. }), "{error:?}");
    left.send(vec![3; MIB]).unwrap();
    let got = receiver.join().unwrap();
    assert_eq!((&got[0], &got[2]), (&Ok(10), &Ok(MIB)));
    let words = got[1].as_ref().unwrap_err();
    assert!(words.contains(&size.to_string()), "{words}");
}

fn a_large_message_waits_for_a_descriptor() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    left.send(message(1)).unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 1, hard).unwrap();
    let refused = [right.recv().err(), left.send(message(1)).err()];
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    for error in refused {
        let Some(Error::System { source, .. }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(source.raw_os_error(), Some(nix::libc::EMFILE));
    }
    left.send(message(2)).unwrap();
    for n in [1, 2] {
        assert_eq!(number(&right.recv().unwrap()), n);
    }
}

fn a_time_out_of_one_thread_does_not_time_out_another() {
    let (left, right) = pipe::<Vec<u8>, ()>().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| right.recv().unwrap().len());
        within(LONG, || {
            let start = Instant::now();
            let answer = right.recv_timeout(SHORT);
            assert!(matches!(answer, Err(Error::Timeout)));
            start.elapsed() >= SHORT
        })
        .unwrap();
        left.send(vec![1; MIB]).unwrap();
        assert_eq!(waiting.join().unwrap(), MIB);
    });
}
