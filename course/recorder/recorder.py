"""Runs a program as it is, and writes to stderr what it does not print: what is
read from a `Value` and written to it, and what a worker of a pool is given and
what it returns. Each note has the time, the thread, and what it did."""

import os
import runpy
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import pool, set_start_method, sharedctypes


def note(action, value):
    line = f"{time.monotonic_ns()} {threading.get_native_id()} {action} {value}\n"
    os.write(sys.stderr.fileno(), line.encode())


# An access is noted while the lock is held, so that the notes stand in the
# order of the accesses.
value = sharedctypes.Synchronized.value


def read(self):
    with self.get_lock():
        result = value.fget(self)
        note("reads", result)
    return result


def write(self, new):
    with self.get_lock():
        value.fset(self, new)
        note("writes", new)


sharedctypes.Synchronized.value = property(read, write)


def call(function, item):
    note("takes", item)
    result = function(item)
    note("returns", result)
    return result


submit = ThreadPoolExecutor.submit
ThreadPoolExecutor.submit = lambda self, *work: submit(self, call, *work)


def mapstar(chunk):
    function, items = chunk
    return [call(function, item) for item in items]


# A worker looks it up by this name.
mapstar.__module__ = pool.__name__
pool.mapstar = mapstar

set_start_method("fork")  # Children inherit all of this.
runpy.run_path(sys.argv[1], run_name="__main__")
