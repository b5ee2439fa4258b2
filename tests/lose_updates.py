"""Puts the worker of shared_memory.py under pressure until it loses updates."""

import multiprocessing
import pathlib
import sys
from multiprocessing import Array, Process, Value

sys.path.append(str(pathlib.Path(__file__, "../../multiprocessing/src/bin").resolve()))
from shared_memory import worker


def hammer(shared_num, shared_arr):
    for _ in range(2000):
        worker(1, shared_num, shared_arr)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    total = 8000
    while total == 8000:
        shared_num = Value("i", 0)
        shared_arr = Array("i", [0])
        processes = [
            Process(target=hammer, args=(shared_num, shared_arr)) for _ in range(4)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        total = shared_num.value
    print(f"lost {8000 - total} of 8000 updates")
