"""Runs a program in which queue.Queue.put takes ten milliseconds."""

import queue
import runpy
import sys
import time

original = queue.Queue.put


def slow_put(self, item):
    time.sleep(0.01)
    original(self, item)


queue.Queue.put = slow_put
runpy.run_path(sys.argv[1], run_name="__main__")
