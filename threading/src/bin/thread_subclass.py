"""Derive a class from Thread and start five threads of it.

Changed from the tutorial: `super().__init__()`, where the tutorial has
`threading.Thread(self)`, which raises AssertionError; type hints, a main guard.
"""

import threading


class MyThread(threading.Thread):
    def __init__(self, num: int) -> None:
        super().__init__()
        self.num = num

    def run(self) -> None:
        print(f"Thread {self.num} is running")


if __name__ == "__main__":
    threads = []
    for i in range(5):
        t = MyThread(i)
        threads.append(t)
        t.start()

    for t in threads:
        t.join()

    print("All threads have finished.")
