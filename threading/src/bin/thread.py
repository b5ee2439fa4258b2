"""Start five threads and wait for them.

Changed from the tutorial: type hints, a main guard, the worker's docstring in
English.
"""

import threading


def worker(num: int) -> None:
    """The task that each thread runs."""
    print(f"Worker {num} is running")


if __name__ == "__main__":
    threads = []
    for i in range(5):
        t = threading.Thread(target=worker, args=(i,))
        threads.append(t)
        t.start()

    for t in threads:
        t.join()

    print("All threads have finished.")
