"""Start five processes and wait for them."""

import multiprocessing
import os


def worker(num: int) -> None:
    print(f"Worker {num} is running in process {os.getpid()}")


if __name__ == "__main__":
    processes = []
    for i in range(5):
        p = multiprocessing.Process(target=worker, args=(i,))
        p.start()
        processes.append(p)

    for p in processes:
        p.join()

    print("All processes have finished.")
