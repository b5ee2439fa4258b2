"""Joins a producer whose item is larger than a pipe, and then gets the item."""

from multiprocessing import Process, Queue

if __name__ == "__main__":
    q = Queue()
    p = Process(target=q.put, args=(bytes(1 << 20),))
    p.start()
    p.join(1)
    assert p.is_alive()
    q.get()
    p.join()
    assert p.exitcode == 0
