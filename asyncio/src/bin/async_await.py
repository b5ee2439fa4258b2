"""Define a coroutine and await it.

Changed from the tutorial: type hints, a main guard.
"""

import asyncio


async def say_hello() -> None:
    await asyncio.sleep(1)
    print("Hello")


async def main() -> None:
    await say_hello()


if __name__ == "__main__":
    asyncio.run(main())
