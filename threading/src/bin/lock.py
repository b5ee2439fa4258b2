"""Let a thousand threads count together, one at a time."""

import threading

counter = 0
lock = threading.Lock()


def increment_counter() -> None:
    global counter
    with lock:
        counter += 1


if __name__ == "__main__":
    threads = []
    for _ in range(1000):
        t = threading.Thread(target=increment_counter)
        t.start()
        threads.append(t)

    for t in threads:
        t.join()

    print("Final counter value:", counter)
