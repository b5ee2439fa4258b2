"""Let a thousand threads count together, one at a time.

Changed from the tutorial: a type hint, a main guard.
"""

import threading

counter = 0
lock = threading.Lock()


def increment_counter() -> None:
    global counter
    with lock:
        temp = counter
        temp += 1
        counter = temp


if __name__ == "__main__":
    threads = []
    for i in range(1000):
        t = threading.Thread(target=increment_counter)
        threads.append(t)
        t.start()

    for t in threads:
        t.join()

    print("Final counter value:", counter)
