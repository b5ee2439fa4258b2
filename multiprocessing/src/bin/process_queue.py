"""Hand five items from one process to another through a queue.

Changed from the tutorial: type hints, except for the queue, because `Queue` is
a function and not a type.
"""

from multiprocessing import Process, Queue


def producer(q) -> None:
    for i in range(5):
        q.put(i)
        print(f"Produced {i}")


def consumer(q) -> None:
    while not q.empty():
        item = q.get()
        print(f"Consumed {item}")


if __name__ == "__main__":
    q = Queue()

    p1 = Process(target=producer, args=(q,))
    p2 = Process(target=consumer, args=(q,))

    p1.start()
    p1.join()

    p2.start()
    p2.join()
