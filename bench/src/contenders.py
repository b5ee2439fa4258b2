"""The works of the benchmark, done by Python.

`contenders.py WORK N` does the work N times, checks every result, and prints
what one operation costs: in seconds, or in bytes where memory is measured.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from time import perf_counter
from typing import Any

MEBIBYTE = 1 << 20

# The fastest start method.
fork = multiprocessing.get_context("fork")


def empty() -> None:
    pass


def square(n: int) -> int:
    return n * n


def per_operation(n: int, work: Callable[[], Any]) -> float:
    start = perf_counter()
    work()
    return (perf_counter() - start) / n


# Processes


def start_and_join(context: Any, n: int) -> float:
    def work() -> None:
        for _ in range(n):
            p = context.Process(target=empty)
            p.start()
            p.join()
            assert p.exitcode == 0

    return per_operation(n, work)


def process_fork(n: int) -> float:
    return start_and_join(fork, n)


def process_spawn(n: int) -> float:
    return start_and_join(multiprocessing.get_context("spawn"), n)


def pool_life(n: int) -> float:
    def work() -> None:
        for _ in range(n):
            with fork.Pool(4) as p:
                assert p.map(square, [1, 2, 3, 4, 5]) == [1, 4, 9, 16, 25]

    return per_operation(n, work)


def pool_workers(n: int) -> float:
    def work() -> None:
        with fork.Pool(n) as p:
            assert p.map(square, range(n), 1) == [i * i for i in range(n)]

    return per_operation(n, work)


def map_on(workers: int, times: int, n: int, chunksize: int | None) -> float:
    with fork.Pool(workers) as p:
        results = p.map(square, range(n), chunksize)

        def work() -> None:
            nonlocal results
            for _ in range(times):
                results = p.map(square, range(n), chunksize)

        elapsed = per_operation(times * n, work)
    assert results == [i * i for i in range(n)]
    return elapsed


def pool_map_often(times: int) -> float:
    return map_on(2, times, 200_000, None)


def pool_map(n: int) -> float:
    return map_on(2, 1, n, None)


def pool_map_one_by_one(n: int) -> float:
    return map_on(2, 1, n, 1)


def pool_tasks_on_workers(n: int) -> float:
    return map_on(n, 1, 10_000, 1)


@dataclass
class Person:
    id: int
    age: int
    name: str
    email: str
    city: str


NAMES = ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Tony Hoare"]
EMAILS = [
    "ada@example.com",
    "alan.turing@example.org",
    "grace@example.net",
    "tony.hoare@example.com",
]
CITIES = ["London", "Wilmslow", "New York", "Cambridge"]


def person(id: int) -> Person:
    i = id % 4
    return Person(id, id % 90, NAMES[i], EMAILS[i], CITIES[i])


def birthday(person: Person) -> Person:
    person.age += 1
    return person


def pool_map_people(times: int) -> float:
    people = [person(id) for id in range(20_000)]
    with fork.Pool(2) as p:
        results = p.map(birthday, people)

        def work() -> None:
            nonlocal results
            for _ in range(times):
                results = p.map(birthday, people)

        elapsed = per_operation(times * len(people), work)
    assert results == [birthday(person(id)) for id in range(len(people))]
    return elapsed


def count_words(line: str) -> int:
    return len(line.split())


def pool_imap_lines(_: int) -> float:
    def work() -> None:
        with open(os.environ["BENCH_TEXT"]) as text:
            counts = list(p.imap(count_words, text, chunksize))
        assert len(counts) == 400_000
        assert sum(counts) == 3_000_000

    times = []
    with fork.Pool(2) as p:
        for chunksize in [250, 1_000, 4_000, 16_000]:
            times.append(per_operation(1, work))
    return min(times)


def pool_apply(n: int) -> float:
    with fork.Pool(2) as p:
        assert p.apply(square, (3,)) == 9

        def work() -> None:
            for i in range(n):
                assert p.apply(square, (i,)) == i * i

        return per_operation(n, work)


def produce(q: "Queue[int]", n: int) -> None:
    q.put(-1)
    for i in range(n):
        q.put(i)


def queue(n: int) -> float:
    q: Queue[int] = fork.Queue()
    p = fork.Process(target=produce, args=(q, n))
    p.start()
    assert q.get() == -1

    def work() -> None:
        for i in range(n):
            assert q.get() == i

    elapsed = per_operation(n, work)
    p.join()
    return elapsed


def produce_share(
    q: "Queue[int]", share: int, ready: "Queue[int]", go: "Queue[int]"
) -> None:
    ready.put(0)
    go.get()
    for i in range(share):
        q.put(i)


def consume_share(
    q: "Queue[int]", share: int, ready: "Queue[int]", go: "Queue[int]"
) -> None:
    ready.put(0)
    go.get()
    ready.put(sum(q.get() for _ in range(share)))


def queue_many(n: int) -> float:
    share = n // 4
    q: Queue[int] = fork.Queue()
    ready: Queue[int] = fork.Queue()
    go: Queue[int] = fork.Queue()
    processes = [
        fork.Process(target=target, args=(q, share, ready, go))
        for target in [produce_share, consume_share] * 4
    ]
    for p in processes:
        p.start()
    for _ in processes:
        ready.get()
    total = 0

    def work() -> None:
        nonlocal total
        for _ in processes:
            go.put(0)
        total = sum(ready.get() for _ in range(4))

    elapsed = per_operation(4 * share, work)
    for p in processes:
        p.join()
    assert total == 4 * (share * (share - 1) // 2)
    return elapsed


def produce_people(q: "Queue[Person | None]", n: int) -> None:
    q.put(None)
    for id in range(n):
        q.put(person(id))


def queue_people(n: int) -> float:
    q: Queue[Person | None] = fork.Queue()
    p = fork.Process(target=produce_people, args=(q, n))
    p.start()
    assert q.get() is None

    def work() -> None:
        for id in range(n):
            assert q.get() == person(id)

    elapsed = per_operation(n, work)
    p.join()
    return elapsed


def produce_bytes(q: "Queue[bytes]", size: int, n: int) -> None:
    q.put(b"")
    for i in range(n):
        q.put(bytes([i % 256]) * size)


def queue_of_bytes(size: int, n: int) -> float:
    q: Queue[bytes] = fork.Queue(max(8, 8 * MEBIBYTE // size))
    p = fork.Process(target=produce_bytes, args=(q, size, n))
    p.start()
    assert q.get() == b""
    time.sleep(0.001)  # The producer begins a moment before its consumer.

    def work() -> None:
        for i in range(n):
            item = q.get()
            assert len(item) == size and item[0] == item[-1] == i % 256

    elapsed = per_operation(n, work)
    p.join()
    return elapsed


def queue_mebibytes(n: int) -> float:
    return queue_of_bytes(MEBIBYTE, n)


def queue_bytes_of_size(size: int) -> float:
    return queue_of_bytes(size, max(8, min(10_000, 64 * MEBIBYTE // size)))


def resident() -> int:
    with open("/proc/self/smaps_rollup") as smaps:
        return next(
            int(line.split()[1]) * 1024 for line in smaps if line.startswith("Rss:")
        )


def backlog(n: int) -> tuple[float, float]:
    q: Queue[int] = fork.Queue()
    q.put(-1)
    assert q.get() == -1
    before = resident()
    start = perf_counter()
    for i in range(n):
        q.put(i)
    put = perf_counter() - start
    memory = (resident() - before) / n
    start = perf_counter()
    for i in range(n):
        assert q.get() == i
    return (put + perf_counter() - start) / n, memory


def queue_backlog(n: int) -> float:
    return backlog(n)[0]


def queue_backlog_memory(n: int) -> float:
    return backlog(n)[1]


def echo(connection: Connection) -> None:
    try:
        while True:
            connection.send(connection.recv())
    except EOFError:
        pass


def echoing(n: int, work: Callable[[Connection], None]) -> float:
    left, right = fork.Pipe()
    p = fork.Process(target=echo, args=(right,), daemon=True)
    p.start()
    right.close()
    left.send(0)
    left.recv()
    return per_operation(n, lambda: work(left))


def pipe_round_trip(n: int) -> float:
    def work(left: Connection) -> None:
        for i in range(n):
            left.send(i)
            assert left.recv() == i

    return echoing(n, work)


def pipe_large(n: int) -> float:
    size = 16 * MEBIBYTE
    items = [bytes([i]) * size for i in range(2)]

    def work(left: Connection) -> None:
        for i in range(n):
            left.send(items[i % 2])
            item = left.recv()
            assert len(item) == size and item[-1] == i % 2

    return echoing(n, work)


def increment(value: "Synchronized[int]", n: int) -> None:
    for _ in range(n):
        with value.get_lock():
            value.value += 1


def value_alone(n: int) -> float:
    value = fork.Value("i", 0)
    elapsed = per_operation(n, lambda: increment(value, n))
    assert value.value == n
    return elapsed


def increment_on_signal(
    value: "Synchronized[int]", n: int, connection: Connection
) -> None:
    connection.send(0)
    connection.recv()
    increment(value, n)
    connection.send(0)


def value_shared(n: int) -> float:
    value = fork.Value("i", 0)
    left, right = fork.Pipe()
    p = fork.Process(target=increment_on_signal, args=(value, n, right))
    p.start()
    left.recv()

    def work() -> None:
        left.send(0)
        increment(value, n)
        left.recv()

    elapsed = per_operation(2 * n, work)
    p.join()
    assert value.value == 2 * n
    return elapsed


def idle(pids: list[int]) -> float:
    def taken() -> int:
        # The ids of the CPU-time clocks, computed as clock_getcpuclockid(3) does.
        return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)

    time.sleep(0.1)
    before = taken()
    time.sleep(1)
    return (taken() - before) / 1e9


def put_and_get(started: "Queue[None]", q: "Queue[None]") -> None:
    started.put(None)
    q.get()


def idle_get(_: int) -> float:
    started: Queue[None] = fork.Queue()
    q: Queue[None] = fork.Queue()
    p = fork.Process(target=put_and_get, args=(started, q))
    p.start()
    started.get()
    assert p.pid
    elapsed = idle([p.pid])
    q.put(None)
    p.join()
    return elapsed


def hold_pool(connection: Connection) -> None:
    with fork.Pool(2) as p:
        assert p.apply(square, (3,)) == 9
        workers = [child.pid for child in multiprocessing.active_children()]
        connection.send([os.getpid(), *workers])
        connection.recv()


def idle_pool(_: int) -> float:
    left, right = fork.Pipe()
    p = fork.Process(target=hold_pool, args=(right,))
    p.start()
    pids = left.recv()
    assert len(pids) == 3
    elapsed = idle(pids)
    left.send(None)
    p.join()
    return elapsed


# Threads


def executor_map(n: int) -> float:
    results: list[int] = []
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(square, range(4)))
        elapsed = per_operation(
            n, lambda: results.extend(executor.map(square, range(n)))
        )
    assert results == [i * i for i in range(n)]
    return elapsed


def executor_submit(n: int) -> float:
    with ThreadPoolExecutor(4) as executor:
        assert executor.submit(square, 3).result() == 9

        def work() -> None:
            for i in range(n):
                assert executor.submit(square, i).result() == i * i

        return per_operation(n, work)


# asyncio


def running(n: int, main: Callable[[], Coroutine[Any, Any, None]]) -> float:
    async def timed() -> float:
        start = perf_counter()
        await main()
        return (perf_counter() - start) / n

    return asyncio.run(timed())


def asyncio_queue_of(maxsize: int, n: int) -> float:
    async def producer(queue: "asyncio.Queue[int]") -> None:
        for i in range(n):
            await queue.put(i)

    async def consumer(queue: "asyncio.Queue[int]") -> None:
        for i in range(n):
            assert await queue.get() == i

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue(maxsize)
        await asyncio.gather(
            asyncio.create_task(producer(queue)),
            asyncio.create_task(consumer(queue)),
        )

    return running(n, main)


def asyncio_queue(n: int) -> float:
    return asyncio_queue_of(0, n)


def asyncio_queue_of_one(n: int) -> float:
    return asyncio_queue_of(1, n)


def asyncio_tasks(n: int) -> float:
    async def worker(num: int) -> int:
        await asyncio.sleep(0)
        return num

    async def main() -> None:
        tasks = [asyncio.create_task(worker(i)) for i in range(n)]
        assert await asyncio.gather(*tasks) == list(range(n))

    return running(n, main)


if __name__ == "__main__":
    signal.alarm(60)
    _, work, n = sys.argv
    print(globals()[work](int(n)))
