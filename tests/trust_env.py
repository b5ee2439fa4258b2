"""Runs a program in which aiohttp uses the proxy that the environment names."""

import functools
import runpy
import sys

import aiohttp

aiohttp.ClientSession.__init__ = functools.partialmethod(
    aiohttp.ClientSession.__init__, trust_env=True
)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
