"""A server process without a browser: a studio on the workspace of the first argument."""

import signal
import sys
import threading
from pathlib import Path

from engine.api import Studio

ended = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: ended.set())
studio = Studio(Path(sys.argv[1]))
studio.start()
print("up", flush=True)
while not ended.wait(0.1):
    pass
studio.stop()
