"""Let five tasks sleep at the same time, in one thread.

Changed from the tutorial: type hints, a main guard.
"""

import asyncio


async def worker(num: int) -> None:
    print(f"Worker {num} is starting")
    await asyncio.sleep(1)
    print(f"Worker {num} is finished")


async def main() -> None:
    tasks = []
    for i in range(5):
        task = asyncio.create_task(worker(i))
        tasks.append(task)
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(main())
