//! `Queue`: order, limits, memory and corruption. Deaths at each step of a call
//! are tested in `kill_points`.

use std::collections::HashSet;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};
use std::{fs, process};

use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Uid, geteuid, setresuid};
use shared::multiprocessing::{Connection, Error, Process, Queue, pipe};

use crate::fussy::{Fussy, UNDECODABLE, UNENCODABLE};
use crate::harness::{descriptors, is_waiting, memfds, shared_memory, sleeps, within};

pub const TESTS: &[(&str, fn())] = named![
    each_producer_is_first_in_first_out,
    four_producers_and_four_consumers_lose_and_duplicate_no_item,
    a_producer_of_ten_thousand_items_can_be_joined_before_a_get,
    a_producer_of_a_200_kb_item_can_be_joined_before_a_get,
    an_item_of_256_mib_arrives_whole,
    draining_a_backlog_of_a_million_items_returns_its_memory,
    a_queue_with_steady_traffic_stays_small,
    a_producer_that_is_faster_than_its_consumer_takes_little_memory,
    a_queue_that_nobody_reads_takes_everything_without_waiting,
    a_producer_with_a_small_file_size_limit_can_put_large_items,
    items_of_every_size_arrive_whole,
    len_and_is_empty_are_exact,
    get_on_an_empty_queue_fails_times_out_or_blocks,
    put_on_a_full_queue_fails_times_out_or_blocks,
    several_producers_together_keep_within_maxsize,
    a_maxsize_of_zero_means_no_limit,
    an_item_that_cannot_be_encoded_is_an_error_at_put,
    an_item_that_cannot_be_decoded_is_an_error_at_get,
    a_corrupt_item_is_an_error_and_the_next_can_be_got,
    a_corrupt_frame_is_an_error_and_allocates_little,
    items_survive_the_death_of_their_producer,
    killing_a_blocked_consumer_loses_no_item,
    killing_a_blocked_producer_loses_no_item,
    two_thousand_queues_fit_in_half_a_gigabyte_of_address_space,
    a_put_that_lacks_address_space_is_an_error_and_the_queue_still_works,
    a_put_beyond_the_file_size_limit_is_an_error_and_the_queue_still_works,
    a_queue_fits_in_locked_memory,
    an_item_larger_than_memory_is_an_error_and_the_next_can_be_got,
    an_item_that_needs_too_much_memory_to_decode_is_an_error,
    a_consumer_that_cannot_map_the_queue_still_gets_its_items,
];

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);
const MIB: usize = 1 << 20;

fn puts(queue: &Queue<(u32, u32)>, producer: u32, items: u32) {
    for n in 0..items {
        queue.put((producer, n)).unwrap();
    }
}

fn each_producer_is_first_in_first_out() {
    for queue in [Queue::new().unwrap(), Queue::with_maxsize(3).unwrap()] {
        let producers: Vec<_> = (0..4)
            .map(|producer| {
                Process::new(puts, (&queue, producer, 5_000))
                    .start()
                    .unwrap()
            })
            .collect();
        let mut next = [0; 4];
        for _ in 0..4 * 5_000 {
            let (producer, n) = queue.get_timeout(LONG).unwrap();
            assert_eq!(n, next[producer as usize]);
            next[producer as usize] += 1;
        }
        assert!(queue.is_empty());
        producers
            .into_iter()
            .for_each(|producer| producer.join().unwrap());
    }
}

const END: (u32, u32) = (u32::MAX, 0);

fn four_producers_and_four_consumers_lose_and_duplicate_no_item() {
    fn gets(queue: &Queue<(u32, u32)>) -> Vec<(u32, u32)> {
        std::iter::from_fn(|| Some(queue.get().unwrap()).filter(|&item| item != END)).collect()
    }
    for queue in [Queue::new().unwrap(), Queue::with_maxsize(2).unwrap()] {
        let consumers: Vec<_> = (0..4)
            .map(|_| Process::new(gets, (&queue,)).start().unwrap())
            .collect();
        let producers: Vec<_> = (0..4)
            .map(|producer| {
                Process::new(puts, (&queue, producer, 5_000))
                    .start()
                    .unwrap()
            })
            .collect();
        producers
            .into_iter()
            .for_each(|producer| producer.join().unwrap());
        for _ in 0..4 {
            queue.put(END).unwrap();
        }
        let mut all = HashSet::new();
        for consumer in consumers {
            let mut last = [None; 4];
            for (producer, n) in consumer.join().unwrap() {
                assert!(all.insert((producer, n)), "duplicated");
                // One consumer gets the items of one producer in order.
                assert!(last[producer as usize].replace(n) < Some(n));
            }
        }
        assert_eq!(all.len(), 4 * 5_000);
    }
}

fn a_producer_of_ten_thousand_items_can_be_joined_before_a_get() {
    let queue = Queue::new().unwrap();
    Process::new(puts, (&queue, 0, 10_000))
        .start()
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(queue.len(), 10_000);
    for n in 0..10_000 {
        assert_eq!(queue.try_get().unwrap(), (0, n));
    }
    assert!(matches!(queue.try_get(), Err(Error::Empty)));
}

fn a_producer_of_a_200_kb_item_can_be_joined_before_a_get() {
    let queue = Queue::<Vec<u8>>::new().unwrap();
    let put = |queue: &Queue<Vec<u8>>| queue.put(vec![7; 200_000]).unwrap();
    Process::new(put, (&queue,))
        .start()
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(queue.get().unwrap(), vec![7; 200_000]);
}

fn an_item_of_256_mib_arrives_whole() {
    let queue = Queue::<Vec<u8>>::new().unwrap();
    let put = |queue: &Queue<Vec<u8>>| {
        let mut item = vec![7; 256 * MIB];
        *item.last_mut().unwrap() = 9;
        queue.put(item).unwrap();
        queue.put(vec![1]).unwrap();
    };
    Process::new(put, (&queue,))
        .start()
        .unwrap()
        .join()
        .unwrap();
    let item = queue.get().unwrap();
    assert!(item.len() == 256 * MIB && item[..256 * MIB - 1].iter().all(|&byte| byte == 7));
    assert_eq!(item.last(), Some(&9));
    drop(item);
    assert!(
        shared_memory() < 8 * MIB as u64,
        "{} bytes",
        shared_memory()
    );
    assert_eq!(queue.get().unwrap(), [1]);
}

fn draining_a_backlog_of_a_million_items_returns_its_memory() {
    let queue = Queue::new().unwrap();
    let empty = shared_memory();
    Process::new(puts, (&queue, 0, 1_000_000))
        .start()
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(queue.len(), 1_000_000);
    let full = shared_memory();
    assert!(full > 4_000_000, "{full} bytes cannot hold them");
    for n in 0..500_000 {
        assert_eq!(queue.try_get().unwrap(), (0, n));
    }
    let half = shared_memory();
    assert!(
        half < full * 6 / 10,
        "{full} bytes full, {half} half drained"
    );
    for n in 500_000..1_000_000 {
        assert_eq!(queue.try_get().unwrap(), (0, n));
    }
    let drained = shared_memory();
    assert!(
        drained <= empty + MIB as u64,
        "{empty} bytes empty, {drained} drained"
    );
}

fn a_queue_with_steady_traffic_stays_small() {
    let queue = Queue::<Vec<u8>>::new().unwrap();
    let mut most = 0;
    for n in 0..2_000usize {
        queue.put(vec![n as u8; 1 << 19]).unwrap();
        assert_eq!(queue.get().unwrap().len(), 1 << 19);
        most = most.max(shared_memory());
    }
    assert!(
        most < 16 * MIB as u64,
        "{most} bytes for one item of half a MiB at a time"
    );
}

fn put_mebibytes(queue: &Queue<Vec<u8>>, count: usize) {
    for n in 0..count {
        queue.put(vec![n as u8; MIB]).unwrap();
    }
}

fn a_producer_that_is_faster_than_its_consumer_takes_little_memory() {
    const COUNT: usize = 512;
    let queue = Queue::<Vec<u8>>::new().unwrap();
    let producer = Process::new(put_mebibytes, (&queue, COUNT))
        .start()
        .unwrap();
    let mut most = 0;
    for n in 0..COUNT {
        let item = queue.get().unwrap();
        // It takes longer to check an item than to put one.
        for _ in 0..2 {
            assert!(item == vec![n as u8; MIB]);
        }
        most = most.max(shared_memory());
    }
    producer.join().unwrap();
    // A consumer that the system does not let run for a while leaves a backlog.
    assert!(most <= 128 * MIB as u64, "{most} bytes of {COUNT} MiB");
}

fn a_queue_that_nobody_reads_takes_everything_without_waiting() {
    const COUNT: usize = 128;
    let queue = Queue::<Vec<u8>>::new().unwrap();
    let before = sleeps(process::id() as i32);
    put_mebibytes(&queue, COUNT);
    assert_eq!(queue.get().unwrap(), vec![0; MIB]);
    put_mebibytes(&queue, COUNT);
    // After the get it has waited in vain, once.
    let sleeps = sleeps(process::id() as i32) - before;
    assert!(sleeps < 20, "{sleeps} sleeps");
    for n in (1..COUNT).chain(0..COUNT) {
        assert_eq!(queue.try_get().unwrap(), vec![n as u8; MIB]);
    }
    assert!(shared_memory() < 8 * MIB as u64);
}

fn a_producer_with_a_small_file_size_limit_can_put_large_items() {
    let queue = Queue::<Vec<u8>>::new().unwrap();
    let put = |queue: &Queue<Vec<u8>>| {
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, MIB as u64, hard).unwrap();
        put_mebibytes(queue, 16);
    };
    Process::new(put, (&queue,))
        .start()
        .unwrap()
        .join()
        .unwrap();
    for n in 0..16 {
        assert_eq!(queue.try_get().unwrap(), vec![n; MIB]);
    }
}

fn items_of_every_size_arrive_whole() {
    for queue in [
        Queue::<Vec<u8>>::new().unwrap(),
        Queue::with_maxsize(100).unwrap(),
    ] {
        let sizes = (0..300)
            .chain((0..60).map(|n| n * 1021))
            .chain([MIB - 1, MIB, MIB + 1]);
        let sizes: Vec<_> = sizes.collect();
        let puts = |queue: &Queue<Vec<u8>>, sizes: &Vec<usize>| {
            for size in sizes {
                queue
                    .put((0..*size).map(|n| (n ^ *size) as u8).collect())
                    .unwrap();
            }
        };
        let producer = Process::new(puts, (&queue, &sizes)).start().unwrap();
        for size in sizes {
            let item = queue.get_timeout(LONG).unwrap();
            assert!(
                item.len() == size && item.iter().enumerate().all(|(n, &b)| b == (n ^ size) as u8)
            );
        }
        producer.join().unwrap();
    }
}

fn len_and_is_empty_are_exact() {
    let queue = Queue::with_maxsize(3).unwrap();
    for n in 0..3 {
        assert_eq!(
            (queue.len(), queue.is_empty(), queue.is_full()),
            (n, n == 0, false)
        );
        let put = |queue: &Queue<usize>, n| queue.put(n).unwrap();
        Process::new(put, (&queue, n))
            .start()
            .unwrap()
            .join()
            .unwrap();
    }
    for n in 0..3 {
        assert_eq!(
            (queue.len(), queue.is_empty(), queue.is_full()),
            (3 - n, false, n == 0)
        );
        let get = |queue: &Queue<usize>| queue.get().unwrap();
        assert_eq!(
            Process::new(get, (&queue,))
                .start()
                .unwrap()
                .join()
                .unwrap(),
            n
        );
    }
    assert_eq!(
        (queue.len(), queue.is_empty(), queue.is_full()),
        (0, true, false)
    );
}

fn get_on_an_empty_queue_fails_times_out_or_blocks() {
    let queue = Queue::<u8>::new().unwrap();
    assert!(matches!(queue.try_get(), Err(Error::Empty)));
    for time in [Duration::ZERO, SHORT] {
        let start = Instant::now();
        assert!(matches!(queue.get_timeout(time), Err(Error::Timeout)));
        assert!(start.elapsed() >= time);
    }
    let gets = |queue: &Queue<u8>, timed: bool| match timed {
        true => queue.get_timeout(Duration::MAX).unwrap(),
        false => queue.get().unwrap(),
    };
    for timed in [true, false] {
        let consumer = Process::new(gets, (&queue, timed)).start().unwrap();
        within(LONG, || is_waiting(consumer.pid())).unwrap();
        assert!(!consumer.join_timeout(SHORT).unwrap());
        queue.put(7).unwrap();
        assert_eq!(consumer.join().unwrap(), 7);
    }
}

fn put_on_a_full_queue_fails_times_out_or_blocks() {
    let queue = Queue::with_maxsize(2).unwrap();
    queue.put(vec![0u8]).unwrap();
    queue.try_put(vec![1]).unwrap();
    assert!(matches!(queue.try_put(vec![2]), Err(Error::Full)));
    for time in [Duration::ZERO, SHORT] {
        let start = Instant::now();
        assert!(matches!(
            queue.put_timeout(vec![2], time),
            Err(Error::Timeout)
        ));
        assert!(start.elapsed() >= time);
    }
    for n in 0..2 {
        let put = |queue: &Queue<Vec<u8>>, n: u8| queue.put(vec![n + 2]).unwrap();
        let producer = Process::new(put, (&queue, n)).start().unwrap();
        within(LONG, || is_waiting(producer.pid())).unwrap();
        assert!(!producer.join_timeout(SHORT).unwrap());
        assert!(queue.is_full());
        assert_eq!(queue.get().unwrap(), [n]);
        producer.join().unwrap();
        assert!(queue.is_full());
    }
    assert_eq!(
        (queue.get().unwrap(), queue.get().unwrap()),
        (vec![2], vec![3])
    );
    queue.put_timeout(vec![4], Duration::ZERO).unwrap();
    queue.put_timeout(vec![5], Duration::MAX).unwrap();
    assert_eq!(queue.len(), 2);
}

fn several_producers_together_keep_within_maxsize() {
    let queue = Queue::with_maxsize(4).unwrap();
    let producers: Vec<_> = (0..4)
        .map(|producer| {
            Process::new(puts, (&queue, producer, 1_000))
                .start()
                .unwrap()
        })
        .collect();
    for _ in 0..4_000 {
        assert!(queue.len() <= 4, "{}", queue.len());
        queue.get_timeout(LONG).unwrap();
    }
    producers
        .into_iter()
        .for_each(|producer| producer.join().unwrap());
}

fn a_maxsize_of_zero_means_no_limit() {
    let queue = Queue::with_maxsize(0).unwrap();
    (0..1_000).for_each(|n| queue.try_put(n).unwrap());
    assert!(!queue.is_full());
    assert_eq!(queue.len(), 1_000);
}

fn an_item_that_cannot_be_encoded_is_an_error_at_put() {
    let queue = Queue::with_maxsize(2).unwrap();
    queue.put(Fussy(1)).unwrap();
    assert!(matches!(
        queue.put(Fussy(UNENCODABLE)),
        Err(Error::Encode(_))
    ));
    assert!(matches!(
        queue.try_put(Fussy(UNENCODABLE)),
        Err(Error::Encode(_))
    ));
    assert!(matches!(
        queue.put_timeout(Fussy(UNENCODABLE), LONG),
        Err(Error::Encode(_))
    ));
    assert_eq!(queue.len(), 1);
    queue.put(Fussy(2)).unwrap();
    assert_eq!(
        (queue.get().unwrap(), queue.get().unwrap()),
        (Fussy(1), Fussy(2))
    );
}

fn an_item_that_cannot_be_decoded_is_an_error_at_get() {
    let queue = Queue::with_maxsize(2).unwrap();
    for get in [Queue::get, Queue::try_get, |queue: &Queue<Fussy>| {
        queue.get_timeout(LONG)
    }] {
        queue.put(Fussy(UNDECODABLE)).unwrap();
        queue.put(Fussy(1)).unwrap();
        assert!(matches!(get(&queue), Err(Error::Decode(_))));
        assert_eq!(queue.len(), 1);
        assert_eq!(get(&queue).unwrap(), Fussy(1));
    }
}

/// A text that tests search for in shared memory.
const NEEDLE: &str = "a needle in the haystack";

/// The memfd that contains the needle, and the offset of it there.
fn find_needle() -> (fs::File, u64) {
    let found = memfds().into_iter().find_map(|file| {
        let mut memory = vec![0; 64 * 1024];
        let len = file.read_at(&mut memory, 0).unwrap();
        let at = memory[..len]
            .windows(NEEDLE.len())
            .position(|bytes| bytes == NEEDLE.as_bytes());
        at.map(|at| (file, at as u64))
    });
    found.expect("the needle is in shared memory")
}

fn a_corrupt_item_is_an_error_and_the_next_can_be_got() {
    let queue = Queue::<(Option<String>, bool)>::new().unwrap();
    // In memory: the option's tag, the text's tag and length, the text, the
    // bool's tag and the bool. Offsets count from the text.
    let after = NEEDLE.len() as i64;
    for (what, offset, byte) in [
        ("bad tag", -2, 99),
        ("trailing bytes", -3, 16),
        ("trailing bytes", -1, after as u8 - 1),
        ("length past the end", -1, after as u8 + 9),
        ("not UTF-8", 3, 0xff),
        ("bad bool", after + 1, 2),
    ] {
        queue.put((Some(NEEDLE.to_string()), true)).unwrap();
        queue.put((None, false)).unwrap();
        let (file, at) = find_needle();
        file.write_all_at(&[byte], at.checked_add_signed(offset).unwrap())
            .unwrap();
        let error = queue.get_timeout(LONG).expect_err(what);
        assert!(matches!(error, Error::Decode(_)), "{what}: {error:?}");
        assert_eq!(queue.get_timeout(LONG).unwrap(), (None, false), "{what}");
        // So that the next search does not find this needle.
        file.write_all_at(&[0; NEEDLE.len()], at).unwrap();
    }
}

fn a_corrupt_frame_is_an_error_and_allocates_little() {
    // Corrupts, one after the other, each byte before the text, among which is
    // the length of the frame.
    let put = || {
        let queue = Queue::<String>::new().unwrap();
        queue.put("first".to_string()).unwrap();
        queue.put(NEEDLE.to_string()).unwrap();
        assert_eq!(queue.get().unwrap(), "first");
        queue
    };
    let (unlimited, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    let mut errors = 0;
    for back in 2..18 {
        for wrong in [0x01, 0x7f, 0x80, 0xff] {
            let queue = put();
            let (file, at) = find_needle();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at - back).unwrap();
            file.write_all_at(&[byte[0] ^ wrong], at - back).unwrap();
            setrlimit(Resource::RLIMIT_AS, address_space() + 64 * MIB as u64, hard).unwrap();
            match queue.get_timeout(SHORT) {
                Ok(text) => assert_eq!(text, NEEDLE),
                Err(Error::Corrupt(_) | Error::Decode(_)) => errors += 1,
                Err(error) => panic!("{back} bytes before, {wrong:#x}: {error:?}"),
            }
            setrlimit(Resource::RLIMIT_AS, unlimited, hard).unwrap();
            // No later call hangs.
            _ = queue.put_timeout("next".to_string(), SHORT);
            _ = (
                queue.get_timeout(SHORT),
                queue.get_timeout(SHORT),
                queue.len(),
            );
        }
    }
    assert!(errors > 0, "no length was hit");
}

/// How many bytes of address space this process uses.
pub fn address_space() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .unwrap();
    size.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn items_survive_the_death_of_their_producer() {
    let queue = Queue::new().unwrap();
    let puts_and_dies = |queue: &Queue<u8>| -> u8 {
        queue.put(7).unwrap();
        std::process::abort();
    };
    assert!(
        Process::new(puts_and_dies, (&queue,))
            .start()
            .unwrap()
            .join()
            .is_err()
    );
    assert_eq!(queue.try_get().unwrap(), 7);
}

fn killing_a_blocked_consumer_loses_no_item() {
    let queue = Queue::<u8>::new().unwrap();
    let waits = |queue: &Queue<u8>| queue.get().unwrap();
    for n in 0..3 {
        let doomed = Process::new(waits, (&queue,)).start().unwrap();
        let other = Process::new(waits, (&queue,)).start().unwrap();
        within(LONG, || is_waiting(doomed.pid()) && is_waiting(other.pid())).unwrap();
        doomed.kill().unwrap();
        assert!(doomed.join().is_err());
        queue.put(n).unwrap();
        assert!(other.join_timeout(LONG).unwrap());
        assert_eq!(other.join().unwrap(), n);
    }
}

fn killing_a_blocked_producer_loses_no_item() {
    let queue = Queue::<u8>::with_maxsize(1).unwrap();
    queue.put(0).unwrap();
    let puts = |queue: &Queue<u8>, item| queue.put(item).unwrap();
    for n in 0..3 {
        let doomed = Process::new(puts, (&queue, 100)).start().unwrap();
        within(LONG, || is_waiting(doomed.pid())).unwrap();
        let other = Process::new(puts, (&queue, n + 1)).start().unwrap();
        within(LONG, || is_waiting(other.pid())).unwrap();
        doomed.kill().unwrap();
        assert!(doomed.join().is_err());
        assert_eq!(queue.get_timeout(LONG).unwrap(), n);
        assert!(other.join_timeout(LONG).unwrap());
        other.join().unwrap();
    }
    assert_eq!(queue.get().unwrap(), 3);
}

/// Limits this process to that many more bytes of address space.
fn leave_address_space(bytes: usize) {
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, address_space() + bytes as u64, hard).unwrap();
}

/// Gets all items, which must be these numbers.
fn drain(queue: &Queue<u64>, numbers: Range<u64>) {
    for n in numbers {
        assert_eq!(queue.try_get().unwrap(), n);
    }
    assert!(matches!(queue.try_get(), Err(Error::Empty)));
}

fn two_thousand_queues_fit_in_half_a_gigabyte_of_address_space() {
    // This is what `ulimit -v 500000` does.
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, 500_000 << 10, hard).unwrap();
    let (_, descriptors_had) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let most = descriptors_had.min(2_100);
    setrlimit(Resource::RLIMIT_NOFILE, most, descriptors_had).unwrap();
    let count = (most as usize - descriptors() - 50).min(2_000);
    let queues: Vec<_> = (0..count).map(|_| Queue::new().unwrap()).collect();
    for (n, queue) in queues.iter().enumerate() {
        queue.put(n).unwrap();
    }
    for (n, queue) in queues.iter().enumerate() {
        assert_eq!(queue.try_get().unwrap(), n);
    }
}

fn a_put_that_lacks_address_space_is_an_error_and_the_queue_still_works() {
    let queue = Queue::<u64>::new().unwrap();
    leave_address_space(3 * MIB);
    let mut put = 0;
    let error = loop {
        match queue.put(put) {
            Ok(()) => put += 1,
            Err(error) => break error,
        }
    };
    assert!(put > 60_000, "{put} items in three MiB");
    assert!(error.to_string().contains("map"), "{error}");
    assert!(matches!(error, Error::System { .. }), "{error:?}");
    assert_eq!(queue.len() as u64, put);
    let error = queue.try_put(put).unwrap_err();
    assert!(matches!(error, Error::System { .. }), "{error:?}");
    // A process that has the address space can still put.
    let another = |queue: &Queue<u64>, n| queue.put(n).unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, hard, hard).unwrap();
    let child = Process::new(another, (&queue, put)).start().unwrap();
    child.join().unwrap();
    setrlimit(Resource::RLIMIT_AS, soft, hard).unwrap();
    drain(&queue, 0..put + 1);
    // With the address space, this process can put again.
    setrlimit(Resource::RLIMIT_AS, hard, hard).unwrap();
    queue.put(7).unwrap();
    assert_eq!(queue.get().unwrap(), 7);
}

fn a_put_beyond_the_file_size_limit_is_an_error_and_the_queue_still_works() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    // Exceeding this limit would raise SIGXFSZ, which would end the test.
    for limit in [4 << 10, 64 << 10, 100 << 10, 1 << 20] {
        setrlimit(Resource::RLIMIT_FSIZE, limit, hard).unwrap();
        let queue = Queue::<u64>::new().unwrap();
        let mut put = 0;
        let error = loop {
            match queue.put(put) {
                Ok(()) => put += 1,
                Err(error) => break error,
            }
        };
        assert!(put > limit / 70, "{put} items in {limit} bytes");
        assert!(error.to_string().contains("RLIMIT_FSIZE"), "{error}");
        assert_eq!(queue.len() as u64, put);
        // A get makes space for another item.
        assert_eq!(queue.get().unwrap(), 0);
        queue.put(put).unwrap();
        // A process without the limit makes the queue larger, for all.
        setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
        let more = |queue: &Queue<u64>, start: u64| {
            (start..start + 10_000).for_each(|n| queue.put(n).unwrap());
        };
        let child = Process::new(more, (&queue, put + 1)).start().unwrap();
        child.join().unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, limit, hard).unwrap();
        drain(&queue, 1..put + 10_001);
        queue.put(1).unwrap();
        assert_eq!(queue.get().unwrap(), 1);
    }
}

fn a_queue_fits_in_locked_memory() {
    if geteuid().is_root() {
        // The limit does not apply to root.
        let nobody_else = Uid::from_raw(1_000_000_000 + process::id());
        setresuid(nobody_else, nobody_else, nobody_else).unwrap();
        prctl::set_dumpable(true).unwrap();
    }
    let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).unwrap();
    if limit < 4 << 20 {
        return eprintln!("skipped: only {limit} bytes may be locked");
    }
    // Only what is mapped from now on; the existing mappings may exceed the
    // limit.
    mlockall(MlockAllFlags::MCL_FUTURE).unwrap();
    let queue = Queue::<u64>::new().unwrap();
    let mut put = 0;
    while put < 50_000 && queue.put(put).is_ok() {
        put += 1;
    }
    assert!(put > 1_000, "{put} items");
    drain(&queue, 0..put);
    munlockall().unwrap();
}

/// Gets three items with that much more memory: their lengths, or the errors.
fn got_with_little_memory(
    queue: &Queue<Vec<u8>>,
    bytes: usize,
    gate: &Connection<(), ()>,
) -> Vec<Result<usize, String>> {
    gate.recv().unwrap();
    leave_address_space(bytes);
    (0..3)
        .map(|_| match queue.get_timeout(LONG) {
            Ok(item) => Ok(item.len()),
            Err(error @ Error::Decode(_)) => Err(error.to_string()),
            Err(error) => panic!("{error:?}"),
        })
        .collect()
}

fn an_item_larger_than_memory_is_an_error_and_the_next_can_be_got() {
    let size = 100 * MIB;
    let queue = Queue::new().unwrap();
    let (gate, there) = pipe::<(), ()>().unwrap();
    let consumer = Process::new(got_with_little_memory, (&queue, 30 * MIB, &there));
    let consumer = consumer.start().unwrap();
    for item in [vec![1], vec![2; size], vec![3; 1000]] {
        queue.put(item).unwrap();
    }
    gate.send(()).unwrap();
    let got = consumer.join().unwrap();
    assert_eq!((&got[0], &got[2]), (&Ok(1), &Ok(1000)));
    let words = got[1].as_ref().unwrap_err();
    assert!(words.contains(&size.to_string()), "{words}");
    assert!(queue.is_empty());
    queue.put(vec![4]).unwrap();
    assert_eq!(queue.get().unwrap(), [4]);
}

fn an_item_that_needs_too_much_memory_to_decode_is_an_error() {
    let gets = |queue: &Queue<String>, gate: &Connection<(), ()>| {
        gate.recv().unwrap();
        leave_address_space(80 * MIB);
        let error = queue.get_timeout(LONG).unwrap_err();
        assert!(matches!(error, Error::Decode(_)), "{error:?}");
        (error.to_string(), queue.get_timeout(LONG).unwrap())
    };
    let queue = Queue::new().unwrap();
    let (gate, there) = pipe::<(), ()>().unwrap();
    let consumer = Process::new(gets, (&queue, &there)).start().unwrap();
    // The bytes of the item fit in the memory that is left, but the decoded text
    // does not fit beside them.
    queue.put("a".repeat(50 * MIB)).unwrap();
    queue.put("next".to_string()).unwrap();
    gate.send(()).unwrap();
    let (words, next) = consumer.join().unwrap();
    assert!(words.contains("524288"), "{words}");
    assert_eq!(next, "next");
}

fn a_consumer_that_cannot_map_the_queue_still_gets_its_items() {
    let queue = Queue::new().unwrap();
    let (gate, there) = pipe::<(), ()>().unwrap();
    // Enough for each item, but not for a mapping of the whole ring.
    let consumer = Process::new(got_with_little_memory, (&queue, 40 * MIB, &there));
    let consumer = consumer.start().unwrap();
    for size in [10 * MIB, 20 * MIB, 1, 60 * MIB] {
        queue.put(vec![1; size]).unwrap();
    }
    gate.send(()).unwrap();
    let got = consumer.join().unwrap();
    assert_eq!(got, [Ok(10 * MIB), Ok(20 * MIB), Ok(1)]);
    // The item that it has not got is still there.
    assert_eq!(queue.get().unwrap(), vec![1; 60 * MIB]);
}
