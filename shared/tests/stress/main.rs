//! Kills random processes at random moments while they use queues, locks and
//! pools, and checks that nothing is lost: every item that was put is got, or is
//! accounted for by a death; the money in a bank stays the same; and a task fails
//! only if its worker was killed.
//!
//! Run: `cargo test -p shared --test stress -- [SECONDS [SEED]]`. The seed
//! determines which process is killed and after how long, but not what the
//! system lets the processes do until then.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::ops::Range;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, iter, process, thread};

use fastrand::Rng;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shared::multiprocessing::{self, Array, Error, Guard, Pool, Process, Queue, Value};

/// How long a round of one kind takes.
const ROUND: Duration = Duration::from_millis(500);
/// A round that takes much longer than [`ROUND`] hangs.
const WATCHDOG: Duration = Duration::from_secs(30);

fn main() {
    multiprocessing::init();
    let mut numbers = env::args().filter_map(|argument| argument.parse().ok());
    let time = Duration::from_secs(numbers.next().unwrap_or(5));
    let clock = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64
    };
    let seed = numbers.next().unwrap_or_else(clock);
    println!("stress: {time:?} with seed {seed}");

    let (done, rounds) = mpsc::channel();
    let watchdog = thread::spawn(move || {
        loop {
            match rounds.recv_timeout(WATCHDOG) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    eprintln!("stress: a round hangs, with seed {seed}");
                    process::abort();
                }
            }
        }
    });
    let mut random = Rng::with_seed(seed);
    let start = Instant::now();
    let (mut kills, mut conserved) = (0, 0);
    while start.elapsed() < time {
        for round in [queue, locks, pool] {
            let (killed, units) = round(&mut random);
            kills += killed;
            conserved += units;
            done.send(()).unwrap();
        }
    }
    drop(done);
    watchdog.join().unwrap();
    println!("stress: {kills} processes killed, {conserved} units conserved");
}

/// Calls `strike` at random moments for the time of a round, and returns how
/// often.
fn strike(random: &mut Rng, mut strike: impl FnMut(&mut Rng)) -> u64 {
    let start = Instant::now();
    let mut strikes = 0;
    while start.elapsed() < ROUND {
        thread::sleep(Duration::from_micros(random.u64(0..8_000)));
        strike(random);
        strikes += 1;
    }
    strikes
}

// Queue: producers and consumers are killed; each item is got once, or is
// accounted for by a death.

/// How many items one producer puts at most.
const ITEMS: u32 = 1 << 16;

/// The producer, the number of its item, and bytes that depend on the number.
type Item = (u32, u32, Vec<u8>);

fn payload(n: u32) -> Vec<u8> {
    vec![
        n as u8;
        if n.is_multiple_of(1000) {
            50_000
        } else {
            n as usize % 200
        }
    ]
}

/// Puts its items in order. All below `put` are in the queue; one more may be.
fn produce(queue: &Queue<Item>, id: u32, put: &Value<u32>) {
    for n in 0..ITEMS {
        queue.put((id, n, payload(n))).unwrap();
        put.set(n + 1);
    }
}

/// Gets items and records them in `got`. While `in_hand` is 1, it may have an item
/// that is not recorded.
fn consume(queue: &Queue<Item>, got: &Queue<(u32, u32)>, in_hand: &Value<u8>) {
    loop {
        in_hand.set(1);
        let (id, n, bytes) = queue.get().unwrap();
        assert_eq!(bytes, payload(n), "an item arrived in part");
        got.put((id, n)).unwrap();
        in_hand.set(0);
    }
}

fn queue(random: &mut Rng) -> (u64, u64) {
    let bounded = random.bool();
    let queue = Queue::with_maxsize(if bounded { 5 } else { 0 }).unwrap();
    let got = Queue::new().unwrap();
    let mut puts = Vec::new();
    let mut producer = |id: u32| {
        puts.push(Value::new(0).unwrap());
        Process::new(produce, (&queue, id, puts.last().unwrap()))
            .daemon(true)
            .start()
            .unwrap()
    };
    let consumer = || {
        let in_hand = Value::new(0).unwrap();
        let consumer = Process::new(consume, (&queue, &got, &in_hand)).daemon(true);
        (consumer.start().unwrap(), in_hand)
    };
    let mut producers: Vec<_> = (0..3).map(&mut producer).collect();
    let mut consumers: Vec<_> = iter::repeat_with(consumer).take(3).collect();
    let mut id = 3;
    let mut died_with_an_item = 0;
    let end = |process: Process<()>| {
        process.kill().unwrap();
        match process.join() {
            // A producer may have put all its items.
            Ok(()) | Err(Error::Killed { signal: 9, .. }) => {}
            other => panic!("{other:?}"),
        }
    };
    let strikes = strike(random, |random| {
        let place = random.usize(0..3);
        if random.bool() {
            end(std::mem::replace(&mut producers[place], producer(id)));
            id += 1;
        } else {
            let (process, in_hand) = std::mem::replace(&mut consumers[place], consumer());
            end(process);
            died_with_an_item += usize::from(in_hand.get());
        }
    });
    producers.into_iter().for_each(end);
    for (process, in_hand) in consumers {
        end(process);
        died_with_an_item += usize::from(in_hand.get());
    }

    let mut counts = vec![vec![0; ITEMS as usize]; puts.len()];
    let rest = iter::from_fn(|| queue.try_get().ok()).map(|(id, n, bytes): Item| {
        assert_eq!(bytes, payload(n), "an item is left in part");
        (id, n)
    });
    for (id, n) in iter::from_fn(|| got.try_get().ok()).chain(rest) {
        counts[id as usize][n as usize] += 1;
    }
    assert_eq!((queue.is_empty(), queue.len()), (true, 0));
    let mut missing = 0;
    let mut conserved = 0;
    for (put, counts) in puts.iter().zip(counts) {
        let put = put.get() as usize;
        // One more item may have been put just before the death.
        assert!(
            counts[(put + 1).min(counts.len())..]
                .iter()
                .all(|&count| count == 0)
        );
        assert!(counts.iter().all(|&count| count <= 1), "an item came twice");
        missing += counts[..put].iter().filter(|&&count| count == 0).count();
        conserved += put as u64;
    }
    assert!(
        missing <= died_with_an_item,
        "{missing} items missing, {died_with_an_item} consumers died with one"
    );
    (strikes + 6, conserved)
}

// Locks: a process that holds the lock is killed in the middle of a transfer; the
// next owner finds the lock poisoned and repairs the accounts, so their sum stays.

const ACCOUNTS: usize = 8;
const SUM: i64 = 1_000_000;

/// Behind the accounts the bank stores whether a transfer is under way, and a
/// journal: the two accounts and what they held before.
const UNDER_WAY: usize = ACCOUNTS;
const JOURNAL: Range<usize> = ACCOUNTS + 1..ACCOUNTS + 5;

/// Locks the bank. If the last owner died in a transfer, undoes that.
fn open(bank: &Array<i64>) -> Guard<'_, [i64]> {
    bank.lock().unwrap_or_else(|poison| {
        let mut books = poison.into_inner();
        if books[UNDER_WAY] == 1 {
            let [from, had, to, held] = books[JOURNAL].try_into().unwrap();
            books[from as usize] = had;
            books[to as usize] = held;
            books[UNDER_WAY] = 0;
        }
        bank.clear_poison();
        books
    })
}

fn transfer(bank: &Array<i64>, transfers: &Value<u64>, seed: u64) {
    let mut random = Rng::with_seed(seed);
    loop {
        let (from, to) = (random.usize(0..ACCOUNTS), random.usize(0..ACCOUNTS));
        let amount = random.i64(0..1000);
        let mut books = open(bank);
        let journal = [from as i64, books[from], to as i64, books[to]];
        // `black_box` keeps the compiler from reordering these writes, because
        // the process can be killed between any two of them.
        black_box(&mut books)[JOURNAL].copy_from_slice(&journal);
        black_box(&mut books)[UNDER_WAY] = 1;
        black_box(&mut books)[from] -= amount;
        black_box(&mut books)[to] += amount;
        black_box(&mut books)[UNDER_WAY] = 0;
        drop(books);
        *transfers.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }
}

fn locks(random: &mut Rng) -> (u64, u64) {
    let bank = Array::zeroed(JOURNAL.end).unwrap();
    bank.set(0, SUM);
    let transfers = Value::new(0).unwrap();
    let start = |random: &mut Rng| {
        let clerk = Process::new(transfer, (&bank, &transfers, random.u64(..)));
        clerk.daemon(true).start().unwrap()
    };
    let mut clerks: Vec<_> = (0..3).map(|_| start(random)).collect();
    let strikes = strike(random, |random| {
        let place = random.usize(0..3);
        // A daemon is killed when its handle is dropped.
        clerks[place] = start(random);
        assert_eq!(open(&bank)[..ACCOUNTS].iter().sum::<i64>(), SUM);
    });
    drop(clerks);
    assert_eq!(open(&bank)[..ACCOUNTS].iter().sum::<i64>(), SUM);
    (strikes + 3, transfers.get())
}

// Pool: workers are killed; each death loses at most one task, and no task is run
// twice.

const TASKS: usize = 1 << 16;

/// How often each task was run.
static LEDGER: OnceLock<Array<u8>> = OnceLock::new();

/// The initializer: tells the test the worker's process ID.
fn report(workers: &Queue<u32>, ledger: Array<u8>) {
    LEDGER.set(ledger).unwrap();
    workers.put(process::id()).unwrap();
}

fn task(n: usize) -> usize {
    LEDGER
        .get()
        .unwrap()
        .lock()
        .unwrap_or_else(PoisonError::into_inner)[n] += 1;
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(n as u64 % 7 * 50) {}
    n * n
}

fn pool(random: &mut Rng) -> (u64, u64) {
    let workers = Queue::new().unwrap();
    let ledger = Array::zeroed(TASKS).unwrap();
    let builder = Pool::builder()
        .processes(3)
        .initializer(report, (&workers, ledger.clone()));
    let pool = builder.build().unwrap();
    let (mut alive, mut results) = (Vec::new(), Vec::new());
    let mut kills = 0;
    strike(random, |random| {
        let batch = results.len()..TASKS.min(results.len() + random.usize(0..60));
        results.extend(batch.map(|n| pool.apply_async(task, (n,)).unwrap()));
        alive.extend(iter::from_fn(|| workers.try_get().ok()));
        if !alive.is_empty() {
            kill_child(alive.swap_remove(random.usize(..alive.len())));
            kills += 1;
        }
    });
    let mut lost = 0;
    let submitted = results.len();
    for (n, result) in results.into_iter().enumerate() {
        let times = match result.get() {
            Ok(square) => {
                assert_eq!(square, n * n);
                1..=1
            }
            Err(Error::Killed { signal: 9, .. }) => {
                lost += 1;
                0..=1
            }
            Err(error) => panic!("{error}"),
        };
        assert!(
            times.contains(&ledger.get(n)),
            "task {n} was run {} times",
            ledger.get(n)
        );
    }
    assert!(lost <= kills, "{lost} tasks lost to {kills} deaths");
    let squares = pool.map(|n: usize| n * n, 0..100).unwrap();
    assert!(squares.into_iter().eq((0..100).map(|n| n * n)));
    (kills, submitted as u64 - lost)
}

/// Kills a process if it is still a child of this one: a worker may have been
/// reaped, and its ID may belong to another process.
fn kill_child(pid: u32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = stat
        .rsplit(") ")
        .next()
        .and_then(|fields| fields.split(' ').nth(1));
    if parent == Some(&process::id().to_string()) {
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    }
}
