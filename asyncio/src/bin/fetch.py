"""Fetch web pages at the same time and print them in order.

Changed from the tutorial: type hints, a main guard, URLs as arguments.
"""

import asyncio
import sys

import aiohttp


async def fetch(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            return await response.text()


async def main() -> None:
    urls = sys.argv[1:] or [
        "http://example.com",
        "http://example.org",
        "http://example.net",
    ]
    tasks = [asyncio.create_task(fetch(url)) for url in urls]
    results = await asyncio.gather(*tasks)
    for result in results:
        print(result)


if __name__ == "__main__":
    asyncio.run(main())
