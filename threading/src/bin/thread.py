"""Start five threads and wait for them."""

import threading


def worker(num: int) -> None:
    print(f"Worker {num} is running")


if __name__ == "__main__":
    threads = []
    for i in range(5):
        t = threading.Thread(target=worker, args=(i,))
        t.start()
        threads.append(t)

    for t in threads:
        t.join()

    print("All threads have finished.")
