"""Derive a class from Thread and start five of it."""

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
        t.start()
        threads.append(t)

    for t in threads:
        t.join()

    print("All threads have finished.")
