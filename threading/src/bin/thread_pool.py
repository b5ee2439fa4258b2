"""Hand five numbers to a pool of four threads.

Changed from the tutorial: type hints, a main guard.
"""

from concurrent.futures import ThreadPoolExecutor


def square(n: int) -> int:
    return n * n


if __name__ == "__main__":
    with ThreadPoolExecutor(max_workers=4) as executor:
        results = list(executor.map(square, [1, 2, 3, 4, 5]))
        print(results)
