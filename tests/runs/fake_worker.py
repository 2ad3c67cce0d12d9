"""A worker process whose runs train nothing; its first argument shortens the grace."""

import sys

from fakes import execute

from engine.runs import worker

if len(sys.argv) > 1:
    worker.GRACE = float(sys.argv[1])
worker.serve(execute)
