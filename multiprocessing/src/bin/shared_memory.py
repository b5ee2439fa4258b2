"""Let five processes add to a number and to an array that they share."""

from multiprocessing import Array, Process, Value
from multiprocessing.sharedctypes import Synchronized, SynchronizedArray


def worker(
    num: int,
    shared_num: "Synchronized[int]",
    shared_arr: "SynchronizedArray[int]",
) -> None:
    shared_num.value += num
    for i in range(len(shared_arr)):
        shared_arr[i] += num


if __name__ == "__main__":
    shared_num = Value("i", 0)
    shared_arr = Array("i", [1, 2, 3, 4, 5])

    processes = []
    for i in range(5):
        p = Process(target=worker, args=(i, shared_num, shared_arr))
        p.start()
        processes.append(p)

    for p in processes:
        p.join()

    print("shared_num:", shared_num.value)
    print("shared_arr:", shared_arr[:])
