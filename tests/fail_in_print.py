"""Runs a program in which the print of one text fails."""

import builtins
import multiprocessing
import runpy
import sys

path, text = sys.argv[1:]
original = print


def print_or_fail(*values, **options):
    if text in " ".join(map(str, values)):
        raise RuntimeError("fails here")
    original(*values, **options)


builtins.print = print_or_fail
multiprocessing.set_start_method("fork")  # Children inherit it.
runpy.run_path(path, run_name="__main__")
