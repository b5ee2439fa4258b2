"""Hand five items from one thread to another through a queue.

Changed from the tutorial: type hints, a main guard.
"""

import threading
import queue


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
    threads = []

    t1 = threading.Thread(target=producer, args=(q,))
    t2 = threading.Thread(target=consumer, args=(q,))

    threads.append(t1)
    threads.append(t2)

    t1.start()
    t2.start()

    for t in threads:
        t.join()
