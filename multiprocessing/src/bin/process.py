"""Start five processes and wait for them.

Changed from the tutorial: type hints, the worker's docstring in English.
"""

import multiprocessing
import os


def worker(num: int) -> None:
    """The task that each process runs."""
    print(f"Worker {num} is running in process {os.getpid()}")


if __name__ == "__main__":
    processes = []
    for i in range(5):
        p = multiprocessing.Process(target=worker, args=(i,))
        processes.append(p)
        p.start()

    for p in processes:
        p.join()

    print("All processes have finished.")
