"""Runs shared_memory.py as it is, and writes to stderr what is read from its
`Value` and what is written to it. The note is taken while the lock is held, so
that the notes stand in the order of what they tell."""

import os
import runpy
import sys
import time
from multiprocessing import sharedctypes, set_start_method

original = sharedctypes.Synchronized.value


def note(action, value):
    line = f"{time.monotonic_ns()} {os.getpid()} {action} {value}\n"
    os.write(sys.stderr.fileno(), line.encode())


def read(self):
    with self.get_lock():
        value = original.fget(self)
        note("reads", value)
    return value


def write(self, value):
    with self.get_lock():
        original.fset(self, value)
        note("writes", value)


sharedctypes.Synchronized.value = property(read, write)
set_start_method("fork")  # Children inherit what is recorded.
runpy.run_path(sys.argv[1], run_name="__main__")
