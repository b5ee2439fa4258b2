//! The works, their contenders, and the goals for `ours`.

use crate::common::{KIBIBYTE, MEBIBYTE};
use crate::measure::Bound::{AtMost, AtMostTimes, TimesAheadOf};
use crate::measure::Growth::{Operations, Setting};
use crate::measure::Side;
use crate::measure::Unit::{Memory, Rate, Time};
use crate::measure::{Curve, Work};
use crate::ours::{asyncio, executor, idle, pipe, pool, process, queue, value};
use crate::peers::{ipc_channel, procspawn, threadpool, tokio_mpsc};
use crate::{inputs, limits, pages};

const PLACEMENT: &str = "Its speed depends on which cores the kernel chooses for the processes: \
                         one core for both is quicker for short messages.";

const WAKING: &str = "Its speed depends on how often the kernel finds a worker asleep, and waking \
                      one costs more than a task.";

pub fn works() -> Vec<Work> {
    vec![
        Work::new("Process start + join, empty target", Time)
            .ours(process::start)
            .python("Python, fork", "process_fork")
            .python("Python, spawn", "process_spawn")
            .peer("procspawn", procspawn::start)
            .limit("bare re-exec", limits::process_start)
            .goal(AtMostTimes(1.2, "bare re-exec")),
        Work::new("Pool(4) made, 5 tasks, ended", Time)
            .ours(pool::life)
            .python("Python", "pool_life")
            .peer("procspawn", procspawn::life)
            .limit("4 bare re-execs", limits::pool_life)
            .goal(AtMostTimes(1.3, "4 bare re-execs")),
        Work::new("Pool(2).map of 200 000 ints", Rate)
            .operations(25)
            .ours(pool::map_often)
            .python("Python", "pool_map_often")
            .goal(TimesAheadOf(20.0, "Python")),
        Work::new("Pool(2).map of 20 000 small structs with strings", Rate)
            .operations(10)
            .ours(pool::map_people)
            .python("Python", "pool_map_people")
            .goal(TimesAheadOf(15.0, "Python")),
        Work::new("Pool(2).map, chunk size 1", Rate)
            .ours(pool::map_one_by_one)
            .python("Python", "pool_map_one_by_one")
            .peer("procspawn", procspawn::map_one_by_one)
            .goal(AtMost(1e-6))
            .goal(TimesAheadOf(25.0, "Python"))
            .remark(WAKING),
        Work::new("Pool(64).map, chunk size 1, per task", Time)
            .operations(64)
            .ours(pool::tasks_on_workers)
            .limit("ours, 4 workers", |_| pool::tasks_on_workers(4))
            .limit("ours, 1 worker", |_| pool::tasks_on_workers(1))
            .goal(AtMostTimes(2.0, "ours, 4 workers"))
            .remark(WAKING),
        Work::new("Pool(2).imap of 400 000 lines, words counted", Time)
            .operations(1)
            .prepare(inputs::write_text)
            .ours(pool::imap_lines)
            .python("Python, its best chunk size", "pool_imap_lines")
            .limit("ours, map", pool::map_lines)
            .goal(TimesAheadOf(3.0, "Python, its best chunk size")),
        Work::new("Pool(2).apply round trip", Time)
            .ours(pool::apply)
            .python("Python", "pool_apply")
            .peer("procspawn", procspawn::apply)
            .goal(AtMost(10e-6))
            .remark(WAKING),
        Work::new("Queue of i64, 1 producer, 1 consumer", Rate)
            .ours(queue::one_to_one)
            .python("Python", "queue")
            .peer("ipc-channel", ipc_channel::queue)
            .goal(AtMost(1.0 / 5e6)),
        Work::new("Queue of i64, 4 producers, 4 consumers", Rate)
            .ours(queue::many_to_many)
            .python("Python", "queue_many")
            .limit("ours, one to one", queue::one_to_one)
            .goal(AtMostTimes(3.0, "ours, one to one")),
        Work::new("Queue of small structs with strings", Rate)
            .ours(queue::people)
            .python("Python", "queue_people")
            .peer("ipc-channel", ipc_channel::queue_of_people)
            .goal(TimesAheadOf(15.0, "Python")),
        Work::new("Queue(8) of 1 MiB byte vectors", Rate)
            .ours(queue::bounded_mebibytes)
            .python("Python", "queue_mebibytes")
            .peer("ipc-channel", ipc_channel::queue_of_mebibytes)
            .limit("memcpy in and out", limits::copies_of_a_mebibyte)
            .goal(TimesAheadOf(1.0, "Python"))
            .goal(TimesAheadOf(1.5, "ipc-channel"))
            .goal(AtMostTimes(4.0, "memcpy in and out")),
        Work::new("Pipe round trip, i64", Time)
            .ours(pipe::round_trip)
            .python("Python", "pipe_round_trip")
            .peer("ipc-channel", ipc_channel::pipe_round_trip)
            .limit("bare socket pair", limits::pipe_round_trip)
            .goal(AtMostTimes(1.2, "bare socket pair"))
            .remark(PLACEMENT),
        Work::new("Pipe, 16 MiB there and back", Time)
            .ours(pipe::large)
            .python("Python", "pipe_large")
            .peer("ipc-channel", ipc_channel::pipe_large)
            .limit("bare socket pair", limits::pipe_large)
            .goal(AtMost(15e-3)),
        Work::new("Value += 1 under its lock, alone", Time)
            .ours(value::alone)
            .python("Python", "value_alone")
            .limit("bare robust mutex", limits::value_alone)
            .goal(AtMostTimes(2.0, "bare robust mutex")),
        Work::new("Value += 1 under its lock, 2 processes", Time)
            .ours(value::two_processes)
            .python("Python", "value_shared")
            .limit("bare robust mutex", limits::value_shared)
            .goal(AtMostTimes(2.0, "bare robust mutex"))
            .remark(
                "Its speed depends on how often the kernel runs both processes at the same time: \
                 only then do they compete for the lock.",
            ),
        Work::new("ThreadPoolExecutor(4).map, per item", Time)
            .ours(executor::map)
            .python("Python", "executor_map")
            .peer("threadpool", threadpool::map)
            .goal(TimesAheadOf(1.0, "threadpool")),
        Work::new("ThreadPoolExecutor(4), submit + result", Time)
            .ours(executor::submit)
            .python("Python", "executor_submit")
            .peer("threadpool + channel", threadpool::submit)
            .goal(TimesAheadOf(1.0, "threadpool + channel")),
        Work::new("asyncio.Queue, unbounded, put + get", Time)
            .ours(asyncio::queue)
            .python("Python", "asyncio_queue")
            .peer("tokio mpsc", tokio_mpsc::queue)
            .goal(AtMostTimes(2.0, "tokio mpsc")),
        Work::new("asyncio.Queue, maxsize 1, put + get", Time)
            .ours(asyncio::queue_of_one)
            .python("Python", "asyncio_queue_of_one")
            .peer("tokio mpsc", tokio_mpsc::queue_of_one)
            .goal(AtMostTimes(2.0, "tokio mpsc")),
        Work::new("fetch of 200 pages from a local server", Time)
            .operations(1)
            .needs_aiohttp()
            .prepare(pages::prepare)
            .contender(Side::Ours, "ours", pages::dev_build)
            .contender(Side::Ours, "its release build", pages::release_build)
            .contender(Side::Python, "aiohttp", pages::aiohttp)
            .goal(TimesAheadOf(1.0, "aiohttp")),
        Work::new("A second of blocked Queue.get, CPU time", Time)
            .operations(1)
            .rounds(3)
            .ours(idle::get)
            .python("Python", "idle_get")
            .goal(AtMost(0.0)),
        Work::new("A second of idle Pool(2), CPU time", Time)
            .operations(1)
            .rounds(3)
            .ours(idle::pool)
            .python("Python", "idle_pool")
            .goal(AtMost(0.0)),
    ]
}

pub fn curves() -> Vec<Curve> {
    let curve = |stem, of, growth, sizes: &[usize], work| {
        let sizes = sizes.to_vec();
        Curve {
            work,
            stem,
            of,
            growth,
            sizes,
        }
    };
    let thousands = &[1_000, 10_000, 100_000, 1_000_000];
    let workers = &[1, 2, 4, 8, 16, 32, 64];
    vec![
        curve(
            "pool-tasks",
            "tasks",
            Operations,
            thousands,
            Work::new("Growth of a Pool(2).map, per task", Time)
                .ours(pool::map)
                .contender(Side::Ours, "ours, chunk size 1", pool::map_one_by_one)
                .python("Python", "pool_map")
                .python("Python, chunk size 1", "pool_map_one_by_one"),
        ),
        curve(
            "pool-workers",
            "workers",
            Operations,
            workers,
            Work::new("Growth of a Pool made and ended, per worker", Time)
                .ours(pool::workers)
                .python("Python", "pool_workers")
                .peer("procspawn", procspawn::workers)
                .limit("bare re-execs", limits::pool_workers),
        ),
        curve(
            "pool-tasks-on-workers",
            "workers",
            Setting,
            workers,
            Work::new("Growth of a Pool's workers, per task, chunk size 1", Time)
                .ours(pool::tasks_on_workers)
                .python("Python", "pool_tasks_on_workers")
                .remark(WAKING),
        ),
        curve(
            "queue-item-size",
            "bytes an item",
            Setting,
            &[
                8,
                64,
                512,
                4 * KIBIBYTE,
                16 * KIBIBYTE,
                64 * KIBIBYTE,
                256 * KIBIBYTE,
                MEBIBYTE,
                4 * MEBIBYTE,
                16 * MEBIBYTE,
            ],
            Work::new("Growth of a Queue's items, steady traffic, per item", Time)
                .ours(queue::bytes_of_size)
                .python("Python", "queue_bytes_of_size")
                .peer("ipc-channel", ipc_channel::queue_of_size)
                .limit("memcpy in and out", limits::copies_of_size)
                .goal(TimesAheadOf(1.5, "ipc-channel"))
                .goal_from(64 * KIBIBYTE, AtMostTimes(4.0, "memcpy in and out")),
        ),
        curve(
            "queue-backlog-item-size",
            "bytes an item",
            Setting,
            &[
                64 * KIBIBYTE,
                256 * KIBIBYTE,
                MEBIBYTE,
                4 * MEBIBYTE,
                16 * MEBIBYTE,
            ],
            Work::new(
                "Growth of the items in a Queue's backlog of 256 MiB, per item",
                Time,
            )
            .ours(queue::backlog_of_size)
            .limit("fresh memory", limits::backlog_of_size)
            .goal(AtMostTimes(1.2, "fresh memory")),
        ),
        curve(
            "queue-backlog",
            "items",
            Operations,
            thousands,
            Work::new("Growth of a Queue's backlog, per item", Time)
                .ours(queue::backlog_time)
                .python("Python", "queue_backlog"),
        ),
        curve(
            "queue-backlog-memory",
            "items",
            Operations,
            thousands,
            Work::new("Growth of a Queue's backlog, memory per item", Memory)
                .ours(queue::backlog_memory)
                .python("Python", "queue_backlog_memory"),
        ),
        curve(
            "asyncio-queue",
            "items",
            Operations,
            thousands,
            Work::new("Growth of an asyncio.Queue, per item", Time)
                .ours(asyncio::queue)
                .python("Python", "asyncio_queue")
                .peer("tokio mpsc", tokio_mpsc::queue),
        ),
        curve(
            "asyncio-tasks",
            "tasks",
            Operations,
            thousands,
            Work::new("Growth of asyncio's tasks, per task", Time)
                .ours(asyncio::tasks)
                .python("Python", "asyncio_tasks"),
        ),
    ]
}
