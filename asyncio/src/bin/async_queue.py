"""Hand items from one task to another and wait until all are processed.

Changed from the tutorial: type hints, a main guard, the comment in English.
"""

import asyncio


async def producer(queue: asyncio.Queue[int]) -> None:
    for i in range(5):
        await queue.put(i)
        print(f"Produced {i}")
        await asyncio.sleep(1)


async def consumer(queue: asyncio.Queue[int]) -> None:
    while True:
        item = await queue.get()
        print(f"Consumed {item}")
        queue.task_done()


async def main() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    producer_task = asyncio.create_task(producer(queue))
    consumer_task = asyncio.create_task(consumer(queue))

    await producer_task
    await queue.join()  # wait until all items are processed
    consumer_task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
