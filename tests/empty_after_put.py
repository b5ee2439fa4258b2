"""Puts items into a queue until it is empty just after."""

from multiprocessing import Queue

if __name__ == "__main__":
    q = Queue()
    q.put(0)
    while not q.empty():
        q.get()
        q.put(0)
    q.get()
