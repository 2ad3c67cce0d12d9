from __future__ import annotations

import threading
import time

from engine.runs.control import Control, forget_commands, send
from engine.runs.folder import RunFolder
from engine.runs.heartbeat import beating, read_heartbeat


def test_without_a_command_there_is_none(run: RunFolder) -> None:
    assert Control(run).look() is None


def test_a_command_is_obeyed_at_the_next_look_and_once(run: RunFolder) -> None:
    control = Control(run)
    send(run, "pause")
    assert [control.look(), control.look()] == ["pause", None]
    send(run, "pause")
    assert [control.look(), control.look()] == ["pause", None]


def test_quick_commands_are_all_obeyed_in_their_order(run: RunFolder) -> None:
    control = Control(run)
    send(run, "save")
    send(run, "evaluate")
    send(run, "stop")
    assert [control.look() for _ in range(4)] == ["save", "evaluate", "stop", None]


def test_a_long_series_of_commands_loses_none_that_is_looked_for(run: RunFolder) -> None:
    control = Control(run)
    for _ in range(40):
        send(run, "save")
        assert control.look() == "save"
    assert control.look() is None


def test_a_command_sent_while_the_worker_starts_is_obeyed(run: RunFolder) -> None:
    send(run, "stop")
    assert Control(run).look() == "stop"


def test_forgotten_commands_are_void(run: RunFolder) -> None:
    forget_commands(run)
    send(run, "stop")
    forget_commands(run)
    control = Control(run)
    assert control.look() is None
    send(run, "save")
    assert control.look() == "save"


def test_a_spoilt_file_holds_no_command(run: RunFolder) -> None:
    (run.path / "control.json").write_text('[{"serial": 1, "command": "explode"}]')
    assert Control(run).look() is None
    (run.path / "control.json").write_text("{")
    assert Control(run).look() is None
    send(run, "stop")
    assert Control(run).look() == "stop"


def test_a_lost_parent_interrupts_every_look_and_every_wait(run: RunFolder) -> None:
    lost = threading.Event()
    control = Control(run, lost)
    threading.Timer(0.1, lost.set).start()
    assert control.wait() == "interrupt"
    assert control.look() == "interrupt"


def test_a_pause_ends_with_the_next_command(run: RunFolder) -> None:
    control = Control(run)
    threading.Timer(0.1, send, (run, "continue")).start()
    assert control.wait() == "continue"


def test_looking_costs_next_to_nothing(run: RunFolder) -> None:
    send(run, "save")
    control = Control(run)
    control.look()
    began = time.perf_counter()
    for _ in range(1000):
        control.look()
    assert (time.perf_counter() - began) / 1000 < 50e-6


def test_the_heart_beats_while_the_run_goes_on_and_leaves_nothing(run: RunFolder) -> None:
    control = Control(run)
    control.beat((0, 3, 4), 120.0)
    assert read_heartbeat(run) is None
    with beating(run, control):
        while (beat := read_heartbeat(run)) is None:
            time.sleep(0.01)
    assert beat.position == (0, 3, 4)
    assert beat.steps_per_second == 120.0
    assert beat.memory_bytes > 0
    assert read_heartbeat(run) is None
    assert not list(run.path.glob(".heartbeat*"))


def test_what_would_end_a_run_is_seen_and_left_for_the_next_look(run: RunFolder) -> None:
    lost = threading.Event()
    control = Control(run, lost)
    assert control.ending() is None
    send(run, "save")
    assert control.ending() is None
    send(run, "stop")
    assert control.ending() == "stop"
    assert [control.look(), control.look()] == ["save", "stop"]
    lost.set()
    assert control.ending() == "interrupt"
