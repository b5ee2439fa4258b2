"""Hand five items from one thread to another through a queue."""

import queue
import threading


def producer(q: queue.Queue[int]) -> None:
    for i in range(5):
        q.put(i)
        print(f"Produced {i}")


def consumer(q: queue.Queue[int]) -> None:
    while not q.empty():
        item = q.get()
        print(f"Consumed {item}")


if __name__ == "__main__":
    q: queue.Queue[int] = queue.Queue()

    t1 = threading.Thread(target=producer, args=(q,))
    t2 = threading.Thread(target=consumer, args=(q,))

    t1.start()
    t2.start()

    t1.join()
    t2.join()
