//! A guide to the engine, which is all that is behind the public types of this
//! module: what happens there, in which files, and what to know before relying on it.
//! The guide itself has no code.
//!
//! The details stand beside the code. The links lead to them, also to private
//! modules if the documentation is built with
//!
//! ```sh
//! cargo doc -p shared --all-features --no-deps --document-private-items --open
//! ```
//!
//! | You want to | Read |
//! |---|---|
//! | look up a word | [Words](#words) |
//! | follow a value through the engine | [Four ways through the engine](#four-ways-through-the-engine) |
//! | know what happens when a process is killed | [From a death to the error](#from-a-death-to-the-error), [Four protocols](#four-protocols) |
//! | read the code | [The order of the files](#the-order-of-the-files) |
//! | change the code | [Which lock guards what](#which-lock-guards-what), [A new field in shared memory](#a-new-field-in-shared-memory) |
//! | use it in a program | [What it needs](#what-it-needs), [What it costs](#what-it-costs), [Limits](#limits), [How to test with it](#how-to-test-with-it) |
//! | port a Python program | [What Python has and this module has not](#what-python-has-and-this-module-has-not) |
//!
//! # Words
//!
//! | Word | Meaning |
//! |---|---|
//! | **Of Linux** | |
//! | descriptor | the number by which a process names an open file, socket or other object: Python's `fileno()` |
//! | futex | a number in memory on which threads sleep until another thread changes it and wakes them |
//! | memfd | a file that exists only in memory, and that a process maps to share it with others |
//! | pidfd | a descriptor of a process, which becomes readable when the process ends |
//! | robust mutex | a lock that the next thread gets when its owner dies |
//! | reap | collect the exit status of a child that has ended; until then the system keeps it, as a zombie |
//! | **Of the engine** | |
//! | start message, report | what a parent sends to its new child (which function to call, with which arguments), and what a child sends back (its result, or why there is none): [`process`](super::process) |
//! | entry | the function that a child calls; it decodes the arguments, calls the target and encodes the result: [`entry`](super::entry) |
//! | handle | a `Value`, `Array`, `Queue` or `Connection`, which is sent as a descriptor: [`codec`](super::codec) |
//! | frame | the length and the bytes of an item or a message in a [`ring`](super::ring) |
//! | head, tail | how many bytes were ever read from a ring and written to it |
//! | side, advance | the producers or the consumers of a queue; what a side does when it publishes a `put` or a `get`: [`queue::raw`](super::queue::raw) |
//! | job, task | one call of a method of `Pool`; the part of it that one worker runs at a time: [`pool`](super::pool) |
//! | claim | make a task one's own, so that no other process runs it: [`channel`](super::pool::channel#claiming-a-task) |
//!
//! # Four ways through the engine
//!
//! Time runs downwards, from one process at the top to another at the bottom. Each
//! line names a file, and what is done there.
//!
//! ```text
//!  a process             a task of a pool        an item of a queue     a message of a pipe
//!
//!  Process::new          Pool::map               Queue::put             Connection::send
//!  codec    bytes, fds   job       tasks         codec    bytes         codec    bytes
//!  child    send         dispatch  worker        transfer lock, frame,  socket   packet
//!  spawn    execve       channel   ring                   wake, publish    |
//!     |                     |                    ring     copy             |
//!  start    receive      worker    claim            |                      |
//!  entry    run          entry     run           transfer lock, copy,   socket   packet
//!     |                     |                             wake, publish    |
//!  socket   report       channel   ring          codec    value         codec    value
//!  Process::join         AsyncResult::get        Queue::get             Connection::recv
//! ```
//!
//! | Way | Explained step by step in |
//! |---|---|
//! | From `Process::new` to `join` | [`process`](super::process#from-processnew-to-join) |
//! | From the `main` of a child to its exit | [`start`](super::start#what-a-child-does-function-by-function) |
//! | From `put` to `get` | [`queue::raw`](super::queue::raw#publication), with the [layout of a queue](super::queue::raw#layout); the code is in [`queue::transfer`](super::queue::transfer) |
//! | From `map` to its result | [`pool`](super::pool#a-tasks-way) |
//! | From `send` to `recv` | [`socket`](super::socket#how-a-message-is-framed) |
//!
//! A queue and a channel of a pool both use a [`ring`](super::ring), and differ
//! because a queue has [many writers and readers, a channel one of
//! each](super::pool::channel#why-this-is-not-a-queue).
//!
//! # From a death to the error
//!
//! No thread and no signal handler of the engine has to run for this in the process
//! that dies, so SIGKILL is like any other death. The kernel does three things: it
//! makes the pidfd readable, closes the descriptors, and marks the robust mutexes.
//!
//! ```text
//!  the kernel                  noticed by               and then
//!
//!  makes the pidfd readable    Process::join            Error::Killed, Exited, ...
//!                              watcher, alarm, manager  the task fails, a new worker starts
//!  closes the last descriptor  send, recv               Error::BrokenPipe, Eof
//!    of a socket               the kernel, if it is     SIGKILL for the child
//!                                that of a child
//!  marks a lock that was held  lock of a Value          PoisonError, with the guard
//!                              put and get of a Queue   nothing: every state is valid
//! ```
//!
//! | Death of | Explained in |
//! |---|---|
//! | a process | [`process`](super::process#from-the-end-of-a-child-to-the-error-in-join) |
//! | a worker | [`pool`](super::pool#when-a-worker-dies) |
//! | the parent | [`start`](super::start#how-a-child-ends-with-its-parent) |
//! | the owner of a lock | [`mutex`](super::mutex#when-the-owner-dies) |
//! | a process inside `put` or `get` | [`queue::raw`](super::queue::raw#publication) |
//! | a process inside `send` or `recv` | [`socket`](super::socket#where-large-messages-go) |
//!
//! # Four protocols
//!
//! Beside its code, each is described by an invariant, the steps in order, and what a
//! death after each step leaves.
//!
//! | Protocol | Invariant | Steps |
//! |---|---|---|
//! | Publication in a queue | `count` and `positions[count % 2]` belong together, and describe whole items, at every moment. | [`queue::raw`](super::queue::raw#publication) |
//! | Wake-up in a queue | A thread sleeps only after it has stored that it waits, under the lock that the next advance holds. | [`queue::raw`](super::queue::raw#wake-up) |
//! | Claim of a task | A task belongs to the side whose atomic operation moved `claimed` past its number. | [`channel`](super::pool::channel#claiming-a-task) |
//! | The parent's death | A child runs its target only while a process holds the parent's end of its socket. | [`start`](super::start#how-a-child-ends-with-its-parent) |
//!
//! Two smaller ones follow the same pattern: the change of a queue's
//! [capacity](super::queue::capacity#changing-the-capacity), and the [sleep of a
//! worker and of the pool](super::pool::channel#going-to-sleep-and-waking-up).
//!
//! Publication. There are two slots for the position. `count` says which one is
//! valid (`<--`), so storing `count` publishes a new number and a new position at once:
//!
//! ```text
//!                     before     new position    count, which
//!                                is stored       publishes it
//!  count              6          6               7
//!  positions[0]       640 <--    640 <--         640
//!  positions[1]       512        704             704 <--
//!
//!                     a death here or here       a death here
//!                     leaves the old state       leaves the new one
//! ```
//!
//! Wake-up. A thread that is about to sleep records this under the lock; the thread
//! that advances wakes it before it publishes, and holds the same lock until it has
//! published:
//!
//! ```text
//!  waits     [look, waiters = 1] sleeps ......  [waits for the lock ....][look, found]
//!                                             ^
//!  advances                    [waiters = 2, wake all, waiters = 0, publish]
//!
//!  [ ]  under the lock of the side that advances
//!
//!  If the second thread dies before it publishes, the first gets the lock from it,
//!  finds nothing, and waits again. No item was published, so no wake-up is missing.
//! ```
//!
//! Claim. Tasks are numbered. `claimed` only grows: the worker raises it by one task
//! at a time, and the pool to the end of all tasks that it takes back:
//!
//! ```text
//!  task       0    1    2    3    4    5
//!             begun        | not begun
//!                          ^ claimed = 3
//!
//!  the worker claims 3:        3 -> 4, and runs it; its death fails this task only
//!  the pool takes back 3 to 5: 3 -> 6, and gives them to others; the worker skips them
//! ```
//!
//! The parent's death. The kernel closes the parent's end of the socket. What the
//! child does depends on how far it has come then:
//!
//! ```text
//!  main --> find_socket --> receive --> ask for SIGKILL --> look again --> target --> report
//!  |      exits      |     exits     |  exits at this look |    the kernel kills it       |
//!                                    (or is killed already)
//! ```
//!
//! # Which lock guards what
//!
//! | Lock | Between | Guards | While it is held |
//! |---|---|---|---|
//! | `lock` of the producers and of the consumers of a [queue](super::queue::raw) | processes | the fields of that side; both together `capacity` ([list](super::queue::raw#which-lock-guards-which-field)) | the other side's may be taken: the producers' first, the consumer only tries |
//! | `mutex` of a [`Value` or `Array`](super::value) | processes | the items | the user's code runs |
//! | none: each ring of a [`channel`](super::pool::channel) has one writer and one reader | processes | the frames, by `tail` and `head` | |
//! | none: one atomic operation | processes | `claimed` of a channel, `count` of the alarm | |
//! | `state` of a [pool](super::pool#locks) | threads | workers, backlog, the pool's ends of the channels | `progress` or `ended` may be taken |
//! | `progress` of a job, `ended` of the watcher, `manager` of a [pool](super::pool#locks) | threads | the results that have come; the workers that have ended; the manager's thread | no other is taken |
//! | `sending`, `receiving` of a [`Socket`](super::socket::Socket) | threads | the order of messages; a message received in part | it waits for the peer, so its waiters have deadlines ([`TimedMutex`](super::timed_mutex)) |
//! | `status` of a [`Child`](super::child::Child) | threads | the exit status, which can be collected once | no other is taken |
//! | `ROLE` of [`role`](super::role) | threads | parent or child | no other is taken |
//!
//! # A new field in shared memory
//!
//! A process can die between any two stores, and none of its code runs afterwards. The
//! rule is: *one store publishes a change, and the states before and after it are both
//! valid*, so nothing has to be repaired. [Six rules](super::queue::raw#adding-a-field)
//! say how to achieve that.
//!
//! An example: to give [`Queue`](super::Queue) Python's `task_done` and `join`.
//!
//! | Step | File of `shared` | Change |
//! |---|---|---|
//! | 1 | `src/multiprocessing/queue/raw.rs` | A third `Side`, `done`, in `QueueHeader`: its `count` is the number of items done. Why not a number of unfinished items: [the rules](super::queue::raw#adding-a-field). `RawQueue::new` initializes its lock, and `RawQueue` has a `SideMap` for it, and methods that compare its count with those of the other sides, because `count` is private to this file. |
//! | 2 | `src/multiprocessing/queue/transfer.rs` | `task_done` takes the lock of `done`, fails if its count is that of the consumers, wakes the waiters, and advances to position 0, as it has no bytes. `join` calls `wait_while` with that lock, until the count is that of the producers. |
//! | 3 | `src/multiprocessing/queue/raw.rs` | The layout, the list of locks and the two protocols name the new side. |
//! | 4 | `src/multiprocessing/queue/mod.rs` | `task_done`, `join` and `join_timeout`, with what they stand for in Python, errors and an example. |
//! | 5 | `tests/multiprocessing/queue.rs` | What the methods do, between processes. |
//! | 6 | `tests/multiprocessing/kill_points.rs` | A death before and after each store of `task_done`. |
//! | 7 | `tests/memory_model/queue.rs` | A `join` beside a `task_done` loses no wake-up, under all orders that the memory model allows. |
//! | 8 | this file, `README.md` | The row of `JoinableQueue` [below](#what-python-has-and-this-module-has-not); the table of names. |
//!
//! # The order of the files
//!
//! From the foundations up: the files of a group use only those of their own group
//! and of the groups before it, except that [`start`](super::start) also runs the
//! workers of pools. If you would rather follow an argument on its way, begin with
//! [`process`](super::process), whose steps name their files.
//!
//! | File | What it has |
//! |---|---|
//! | **Foundations** | |
//! | [`error`](super::error) | what can go wrong |
//! | [`wait`](super::wait) | deadlines, a short spin, futexes, `poll` |
//! | [`allocation`](super::allocation) | allocations whose size comes from another process |
//! | [`memory`](super::memory) | shared memory: a memfd that each process maps |
//! | [`mutex`](super::mutex) | a lock in shared memory that survives its owner |
//! | [`format`](super::format) | the bytes of a value |
//! | [`codec`](super::codec) | values as bytes, and the descriptors among them |
//! | **Shared objects** | |
//! | [`value`](super::value) | `Value` and `Array` |
//! | [`ring`](super::ring) | ring buffers of frames |
//! | [`queue`](super::queue) | `Queue`: the public type |
//! | [`queue::raw`](super::queue::raw) | the state of a queue in shared memory: layout and protocols |
//! | [`queue::transfer`](super::queue::transfer) | `put` and `get` of bytes |
//! | [`queue::capacity`](super::queue::capacity) | how a queue grows and shrinks |
//! | [`timed_mutex`](super::timed_mutex) | a mutex between threads with deadlines |
//! | [`socket`](super::socket) | messages with descriptors over a pair of sockets |
//! | [`connection`](super::connection) | `pipe`: typed messages |
//! | **Processes** | |
//! | [`process`](super::process) | from `Process::new` to `join` |
//! | [`target`](super::target) | what can be called, with which arguments |
//! | [`entry`](super::entry) | the function that a child calls, found by its offset |
//! | [`role`](super::role) | parent or child; `init_tests!` |
//! | [`spawn`](super::spawn) | runs the executable again |
//! | [`child`](super::child) | a child as its parent sees it |
//! | [`start`](super::start) | `init`; how a child ends with its parent |
//! | **Pools** | |
//! | [`pool`](super::pool) | `Pool`: the public types, and [its modules in order](super::pool#the-modules-in-the-order-in-which-a-task-meets-them) |
//!
//! # What it needs
//!
//! | | |
//! |---|---|
//! | Kernel | Linux 5.4, for `waitid` on a pidfd. From 5.9 on, `close_range` makes starting a process faster. |
//! | Processor | 64 bits, because positions, which only grow, and lengths are 64-bit numbers that are also offsets in memory. |
//! | Files | `/proc`, to run the executable again, and `/dev/null`. |
//! | `main` | [`init`](super::init) first, before threads and before a runtime ([tokio](super#beside-tokio)). |
//!
//! # What it costs
//!
//! Each process that has an object pays for descriptors, threads and address space;
//! memory is allocated once for all processes. (The test
//! `every_object_costs_what_the_guide_says` holds these numbers, on a system with
//! pages of 4 KiB.)
//!
//! | Object | Descriptors | Threads | Address space | Memory |
//! |---|---|---|---|---|
//! | `Value` of a number | 1 | 0 | 4 KiB | 4 KiB |
//! | `Array` of 1000 `u64` | 1 | 0 | 8 KiB | 8 KiB |
//! | `Queue` that is new | 1 | 0 | 68 KiB | 4 KiB |
//! | `Queue` with an item of 1 MB | 1 | 0 | 1096 KiB | 980 KiB |
//! | `pipe`, both ends | 2 | 0 | 0 | 0 |
//! | Clone of one of these | 0 | 0 | 0 | 0 |
//! | Queue among the arguments of a `Process` that is not started | 1 | 0 | 0 | 0 |
//! | `Process` | 2 | 0 | 0 | 0 |
//! | The child itself | 1 | 0 | 0 | 0 |
//! | `Pool` of 1 worker | 6 | 2 | 264 KiB | 12 KiB |
//! | `Pool` of 4 workers | 15 | 2 | 1044 KiB | 36 KiB |
//! | The worker itself | 3 | 0 | 264 KiB | 12 KiB |
//!
//! Each worker of a pool adds 3 descriptors, 260 KiB of address space and 8 KiB of
//! memory, and while it is used, up to 256 KiB. A queue follows its backlog: its ring
//! doubles from 64 KiB. A child with nothing to do has less than 1 MiB of memory of
//! its own. What each operation costs in time is in `bench/RESULTS.md`.
//!
//! With `ulimit -n 1024`, that is about a thousand values or queues, 500 processes
//! or 300 workers. For many counters, use one `Array`.
//!
//! # Limits
//!
//! | Limit | What happens |
//! |---|---|
//! | Arguments, results, items and messages are [values that serde can write and read](super#what-can-be-sent). | It does not compile. |
//! | Lists, maps, structs and variants are nested at most 512 deep; so are options and newtypes. | [`Error::Encode`](super::Error::Encode) |
//! | A value, array, queue or connection is sent as an argument of a process or an initializer only. | `Error::Encode` |
//! | A target has at most 8 arguments; a tuple or a struct can be one of them. | It does not compile. |
//! | The arguments of a pool's tasks own their data. | It does not compile. |
//! | A target captures nothing, because [only the place of its code is sent](super::Target). | `cargo build` refuses it. `cargo check` does not, because it generates no code, and the size of a closure is known only then. |
//! | A target is in the executable, not in a shared library. | [`Error::InvalidInput`](super::Error::InvalidInput) |
//! | The items of a value or array are [`Plain`](super::Plain), aligned to at most 16 bytes. | It does not compile. |
//! | Under `ulimit -f`, shared memory may not be larger than the limit, nor the arguments or the result of a process, if they are larger than 32 KiB: those go [in a file](super::socket#where-large-messages-go). | [`Error::System`](super::Error::System) of `new`, `put` or `start`, [`Error::WorkerStart`](super::Error::WorkerStart) of a pool, `Error::Encode` of `join` for the result |
//! | Results of pool tasks and messages of pipes need no file. | |
//! | A thread locks a value or an array once at a time. | A panic that names the line of the second lock. |
//! | A child does not close descriptors that it has not opened. | Its result is lost, and it no longer ends with its parent. |
//!
//! # How to test with it
//!
//! | Where | How |
//! |---|---|
//! | `#[test]`, under `cargo test` and `cargo nextest` | [`init_tests!`](super::init_tests) once in the crate |
//! | a test target with `harness = false`, a doctest, a benchmark | [`init`](super::init) first in `main` |
//!
//! Give each wait a time-out, so that a test fails and does not hang: `join_timeout`,
//! `get_timeout`, `put_timeout`, `recv_timeout`, `lock_timeout`. To test what a death
//! leaves, let a target wait at a `pipe` and [`kill`](super::Process::kill) it there.
//! What a child prints goes to the test program's stdout, and is not captured.
//!
//! # What Python has and this module has not
//!
//! What has the same name here is not listed. `d` stands for a `Duration`.
//!
//! | Python's `multiprocessing` | Here |
//! |---|---|
//! | `Lock`, `RLock` | a [`Value`](super::Value) or [`Array`](super::Array) of the data that it guards. For something else, such as a file, a `Value<u8>`. A thread cannot lock it twice: pass the guard on. |
//! | `Semaphore(n)`, `BoundedSemaphore(n)` | a [`Queue`](super::Queue) with `n` items: `get` acquires, `put` releases; bounded by `with_maxsize(n)` |
//! | `Event` | a [`pipe`](super::pipe) whose one end is dropped to set it: then `poll(None)` of the other end returns, in every process that has it |
//! | `Condition` | a `Queue` into which each change is put |
//! | `Barrier(n)` | each process puts into one queue and gets from a queue of its own; one of them gets `n` items from the first, and then puts one into each other |
//! | `JoinableQueue`, `task_done`, `join` | a second queue, into which a consumer puts something for each item that is done; or [`Pool::map`](super::Pool::map) |
//! | `SimpleQueue` | [`Queue`](super::Queue) |
//! | `Manager`, `managers` | a process that owns the data and answers over the pipes that it was started with |
//! | `RawValue`, `RawArray`, `lock=False`, `sharedctypes` | [`Value`](super::Value), [`Array`](super::Array); an uncontended lock costs nanoseconds |
//! | `shared_memory` | [`Array`](super::Array). It has no name, and is passed as an argument; the last process frees it. |
//! | `Pipe(duplex=False)` | `pipe::<T, ()>()` |
//! | `connection.wait` | one queue for all senders, or clones of one end for all of them |
//! | `connection.Client`, `Listener`, `AuthenticationError` | nothing: all processes are descendants of one. `std::net` connects others. |
//! | `TimeoutError`, `ProcessError`, `BufferTooShort` | [`Error`](super::Error) |
//! | `active_children` | keep the [`Process`](super::Process) values |
//! | `current_process`, `parent_process` | `std::process::id`, `std::os::unix::process::parent_id`; pass a name as an argument |
//! | `cpu_count` | `std::thread::available_parallelism` |
//! | `freeze_support` | [`init`](super::init) |
//! | `get_context`, `set_start_method`, `get_start_method`, `get_all_start_methods`, `set_executable`, `set_forkserver_preload` | the start method is always `spawn`, of the same executable |
//! | `get_logger`, `log_to_stderr` | nothing is logged: what goes wrong is returned |
//! | `reducer`, `allow_connection_pickling` | serde; what processes share is passed as arguments |
//! | `pool.ThreadPool`, `dummy` | `shared::concurrent::futures::ThreadPoolExecutor` |
//! | **`Process`** | |
//! | `kwargs=`, `group=` | `args` |
//! | `run`, in a subclass | the target |
//! | `p.name = ..`, `p.daemon = ..` | `name` and `daemon` of the [`Builder`](super::Builder) |
//! | `p.ident` | `p.pid()` |
//! | `p.join(d)` | `p.join_timeout(d)` |
//! | `p.sentinel` | `p.join_timeout(d)`, or a thread that joins |
//! | `p.close()` | dropping it, which also waits |
//! | `p.interrupt()` (3.14) | `p.terminate()` |
//! | `p.authkey` | nothing: the kernel says which process made a socket |
//! | **`Pool`** | |
//! | `Pool(n, f, args, m)` | [`Pool::builder`](super::Pool::builder) |
//! | `kwds=` | `args` |
//! | `map(.., chunksize=n)` | [`map_chunked`](super::Pool::map_chunked) |
//! | `chunksize=n` of other methods | `starmap` cuts by itself. For `imap`, pass vectors as items. |
//! | `callback=`, `error_callback=` | a thread that calls `get` |
//! | `r.get(d)`, `r.successful()` | `r.get_timeout(d)`; the `Result` of `get` |
//! | `it.next(d)` | [`next_timeout`](super::Imap::next_timeout) |
//! | **`Queue`** | |
//! | `Queue(n)` | [`with_maxsize`](super::Queue::with_maxsize) |
//! | `put(x, timeout=d)`, `get(timeout=d)` | `put_timeout`, `get_timeout` |
//! | `put_nowait`, `get_nowait` | `try_put`, `try_get` |
//! | `qsize`, `empty`, `full` | `len`, `is_empty`, `is_full` |
//! | `close`, `join_thread`, `cancel_join_thread` | nothing: there is no feeder thread, an item is there when `put` returns |
//! | **`Connection`** | |
//! | `send_bytes`, `recv_bytes`, `recv_bytes_into` | a `Connection` of `Vec<u8>` |
//! | `close`, `closed` | dropping it |
//! | `readable`, `writable` | the types of what it sends and receives |
//! | `fileno` | nothing: `poll`, or a thread that receives |
//! | **`Value`, `Array`** | |
//! | `Value('i', 0)`, `Array('i', 10)` | `Value::new(0i32)`, `Array::<i32>::zeroed(10)` |
//! | `v.value`, `a[i]`, `a[:]`, `len(a)` | `get`, `set`; `to_vec`; `len` |
//! | `a[1:3] = ..` | a part of the slice that `lock` returns |
//! | `get_lock()`, `get_obj()` | `lock`, `try_lock`, `lock_timeout`; the [`Guard`](super::Guard) |
//! | `lock=` an existing lock | one `Array`, or a struct in one `Value` |

#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the public documentation shows them as plain text"
)]
