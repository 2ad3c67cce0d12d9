"""Stands for the job process: each kind of job shows one way to answer, or not to."""

import json
import os
import sys
import time

for line in sys.stdin:
    asked = json.loads(line)
    kind, params = asked["kind"], asked["params"]
    if kind == "die":
        os._exit(3)
    if kind == "half":
        sys.stdout.write('{"val')
        sys.stdout.flush()
        os._exit(3)
    if kind == "refuse":
        answer = {"message": "this cannot be", "hint": "Try another.", "where": "seed"}
    else:
        time.sleep(float(params.get("seconds", 0)))
        answer = {"value": {**params, "pid": os.getpid()}}
    print(json.dumps(answer), flush=True)
    if kind == "last":
        sys.exit()
