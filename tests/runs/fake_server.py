"""A server process: an engine on the workspace of the first argument, until SIGTERM."""

import signal
import sys
import threading
from pathlib import Path

from engine.errors import WorkspaceError
from engine.runs.executors.process import ProcessExecutor
from engine.runs.folder import Workspace
from engine.runs.scheduler import Scheduler

ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
workspace = Workspace.open(Path(sys.argv[1]))
worker = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
scheduler = Scheduler(workspace, ProcessExecutor(workspace, worker))
try:
    scheduler.start()
except WorkspaceError as error:
    sys.exit(str(error))
print("up", flush=True)
while not ended.wait(0.1):
    pass
scheduler.stop()
