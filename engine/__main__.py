"""python -m engine: see engine/cli.py."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        from engine.execution import execute
        from engine.runs.worker import serve

        serve(execute)
    elif sys.argv[1:] == ["jobs"]:
        from engine.jobs import serve_jobs

        serve_jobs()
    else:
        from engine.cli import main

        main()
