"""Hand five numbers to a pool of four processes.

Changed from the tutorial: type hints.
"""

from multiprocessing import Pool


def square(n: int) -> int:
    return n * n


if __name__ == "__main__":
    with Pool(4) as p:
        results = p.map(square, [1, 2, 3, 4, 5])
        print(results)
