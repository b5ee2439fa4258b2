"""Let five processes add to a number and to an array that they share.

Changed from the tutorial: type hints, except for what is shared, because
`Value` and `Array` are functions and not types.
"""

from multiprocessing import Process, Value, Array


def worker(num: int, shared_num, shared_arr) -> None:
    shared_num.value += num
    for i in range(len(shared_arr)):
        shared_arr[i] += num


if __name__ == "__main__":
    shared_num = Value("i", 0)
    shared_arr = Array("i", [1, 2, 3, 4, 5])

    processes = []
    for i in range(5):
        p = Process(target=worker, args=(i, shared_num, shared_arr))
        processes.append(p)
        p.start()

    for p in processes:
        p.join()

    print("shared_num:", shared_num.value)
    print("shared_arr:", list(shared_arr))
