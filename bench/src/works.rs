//! The works, who does them, and what `ours` shall reach.

use crate::frame::Goal::{AtMost, AtMostTimes, TimesAheadOf};
use crate::frame::Unit::{Memory, Rate, Time};
use crate::frame::Work;
use crate::peers::{ipc_channel, procspawn, threadpool, tokio_mpsc};
use crate::{limits, ours};

/// A work whose cost is drawn as it grows; it should stay flat.
pub struct Curve {
    pub work: Work,
    /// The file name of its chart.
    pub stem: &'static str,
    /// What grows.
    pub of: &'static str,
    pub sizes: Vec<usize>,
}

pub fn works() -> Vec<Work> {
    vec![
        Work::new("Process start + join, empty target", Time)
            .ours(ours::process_start)
            .python("Python, fork", "process_fork")
            .python("Python, spawn", "process_spawn")
            .peer("procspawn", procspawn::process_start)
            .limit("bare re-exec", limits::process_start)
            .goal(AtMostTimes(1.2, "bare re-exec")),
        Work::new("Pool(4) made, 5 tasks, ended", Time)
            .ours(ours::pool_life)
            .python("Python", "pool_life")
            .peer("procspawn", procspawn::pool_life)
            .limit("4 bare re-execs", limits::pool_life)
            .goal(AtMostTimes(1.6, "4 bare re-execs")),
        Work::new("Pool(2).map of 200 000 ints", Rate)
            .operations(25)
            .ours(ours::pool_map_often)
            .python("Python", "pool_map_often")
            .goal(TimesAheadOf(10.0, "Python")),
        Work::new("Pool(2).map, chunk size 1", Rate)
            .ours(ours::pool_map_one_by_one)
            .python("Python", "pool_map_one_by_one")
            .peer("procspawn", procspawn::pool_map_one_by_one)
            .goal(AtMost(1e-6))
            .goal(TimesAheadOf(25.0, "Python")),
        Work::new("Pool(2).apply round trip", Time)
            .ours(ours::pool_apply)
            .python("Python", "pool_apply")
            .peer("procspawn", procspawn::pool_apply)
            .goal(AtMost(10e-6)),
        Work::new("Queue of i64, 1 producer, 1 consumer", Rate)
            .ours(ours::queue)
            .python("Python", "queue")
            .peer("ipc-channel", ipc_channel::queue)
            .goal(AtMost(1.0 / 5e6)),
        Work::new("Queue of i64, 4 producers, 4 consumers", Rate)
            .ours(ours::queue_many)
            .python("Python", "queue_many")
            .limit("ours, one to one", ours::queue)
            .goal(AtMostTimes(3.0, "ours, one to one")),
        Work::new("Queue of 1 MiB byte vectors", Rate)
            .ours(ours::queue_mebibytes)
            .python("Python", "queue_mebibytes")
            .peer("ipc-channel", ipc_channel::queue_mebibytes)
            .limit("memcpy in and out", limits::queue_mebibytes)
            .goal(TimesAheadOf(1.0, "Python"))
            .goal(TimesAheadOf(1.0, "ipc-channel")),
        Work::new("Pipe round trip, i64", Time)
            .ours(ours::pipe_round_trip)
            .python("Python", "pipe_round_trip")
            .peer("ipc-channel", ipc_channel::pipe_round_trip)
            .limit("bare socket pair", limits::pipe_round_trip)
            .goal(AtMostTimes(1.2, "bare socket pair")),
        Work::new("Pipe, 16 MiB there and back", Time)
            .ours(ours::pipe_large)
            .python("Python", "pipe_large")
            .peer("ipc-channel", ipc_channel::pipe_large)
            .limit("bare socket pair", limits::pipe_large)
            .goal(AtMost(15e-3)),
        Work::new("Value += 1 under its lock, alone", Time)
            .ours(ours::value_alone)
            .python("Python", "value_alone")
            .limit("bare robust mutex", limits::value_alone)
            .goal(AtMostTimes(2.0, "bare robust mutex")),
        Work::new("Value += 1 under its lock, 2 processes", Time)
            .ours(ours::value_shared)
            .python("Python", "value_shared")
            .limit("bare robust mutex", limits::value_shared)
            .goal(AtMostTimes(2.0, "bare robust mutex")),
        Work::new("ThreadPoolExecutor(4).map, per item", Time)
            .ours(ours::executor_map)
            .python("Python", "executor_map")
            .peer("threadpool", threadpool::executor_map)
            .goal(TimesAheadOf(1.0, "threadpool")),
        Work::new("ThreadPoolExecutor(4), submit + result", Time)
            .ours(ours::executor_submit)
            .python("Python", "executor_submit")
            .peer("threadpool + channel", threadpool::executor_submit)
            .goal(TimesAheadOf(1.0, "threadpool + channel")),
        Work::new("asyncio.Queue, unbounded, put + get", Time)
            .ours(ours::asyncio_queue)
            .python("Python", "asyncio_queue")
            .peer("tokio mpsc", tokio_mpsc::asyncio_queue)
            .goal(AtMostTimes(2.0, "tokio mpsc")),
        Work::new("asyncio.Queue, maxsize 1, put + get", Time)
            .ours(ours::asyncio_queue_of_one)
            .python("Python", "asyncio_queue_of_one")
            .peer("tokio mpsc", tokio_mpsc::asyncio_queue_of_one)
            .goal(AtMostTimes(2.0, "tokio mpsc")),
        Work::new("A second of blocked Queue.get, CPU time", Time)
            .operations(1)
            .rounds(3)
            .ours(ours::idle_get)
            .python("Python", "idle_get")
            .goal(AtMost(0.0)),
        Work::new("A second of idle Pool(2), CPU time", Time)
            .operations(1)
            .rounds(3)
            .ours(ours::idle_pool)
            .python("Python", "idle_pool")
            .goal(AtMost(0.0)),
    ]
}

pub fn curves() -> Vec<Curve> {
    let curve = |stem, of, sizes: &[usize], work| {
        let sizes = sizes.to_vec();
        Curve {
            work,
            stem,
            of,
            sizes,
        }
    };
    let thousands = &[1_000, 10_000, 100_000, 1_000_000];
    let workers = &[1, 2, 4, 8, 16, 32, 64];
    vec![
        curve(
            "pool-tasks",
            "tasks",
            thousands,
            Work::new("Growth of a Pool(2).map, per task", Time)
                .ours(ours::pool_map)
                .ours_as("ours, chunk size 1", ours::pool_map_one_by_one)
                .python("Python", "pool_map")
                .python("Python, chunk size 1", "pool_map_one_by_one"),
        ),
        curve(
            "pool-workers",
            "workers",
            workers,
            Work::new("Growth of a Pool made and ended, per worker", Time)
                .ours(ours::pool_workers)
                .python("Python", "pool_workers")
                .peer("procspawn", procspawn::pool_workers)
                .limit("bare re-execs", limits::pool_workers),
        ),
        curve(
            "pool-tasks-on-workers",
            "workers",
            workers,
            Work::new("Growth of a Pool's workers, per task, chunk size 1", Time)
                .ours(ours::pool_tasks_on_workers)
                .python("Python", "pool_tasks_on_workers"),
        ),
        curve(
            "queue-item-size",
            "bytes an item",
            &[8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20],
            Work::new("Growth of a Queue's items, per item", Time)
                .ours(ours::queue_item_size)
                .python("Python", "queue_item_size")
                .peer("ipc-channel", ipc_channel::queue_item_size)
                .limit("memcpy in and out", limits::queue_item_size),
        ),
        curve(
            "queue-backlog",
            "items",
            thousands,
            Work::new("Growth of a Queue's backlog, per item", Time)
                .ours(ours::queue_backlog)
                .python("Python", "queue_backlog"),
        ),
        curve(
            "queue-backlog-memory",
            "items",
            thousands,
            Work::new("Growth of a Queue's backlog, memory per item", Memory)
                .ours(ours::queue_backlog_memory)
                .python("Python", "queue_backlog_memory"),
        ),
        curve(
            "asyncio-queue",
            "items",
            thousands,
            Work::new("Growth of an asyncio.Queue, per item", Time)
                .ours(ours::asyncio_queue)
                .python("Python", "asyncio_queue")
                .peer("tokio mpsc", tokio_mpsc::asyncio_queue),
        ),
        curve(
            "asyncio-tasks",
            "tasks",
            thousands,
            Work::new("Growth of asyncio's tasks, per task", Time)
                .ours(ours::asyncio_tasks)
                .python("Python", "asyncio_tasks"),
        ),
    ]
}
