"""Let at most two of five tasks run at the same time.

Changed from the tutorial: type hints, a main guard, the comment in English.
"""

import asyncio


async def worker(semaphore: asyncio.Semaphore, num: int) -> None:
    async with semaphore:
        print(f"Worker {num} is starting")
        await asyncio.sleep(1)
        print(f"Worker {num} is finished")


async def main() -> None:
    semaphore = asyncio.Semaphore(2)  # at most two tasks run at a time
    tasks = [asyncio.create_task(worker(semaphore, i)) for i in range(5)]
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(main())
