"""Numbers as people read them: with their unit, and no more digits than they carry."""

from __future__ import annotations

from collections.abc import Mapping

STATUS_ICONS = {
    "queued": ":material/schedule:",
    "preparing": ":material/hourglass_top:",
    "running": ":material/play_circle:",
    "paused": ":material/pause_circle:",
    "stopping": ":material/stop_circle:",
    "finished": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/warning:",
    "interrupted": ":material/power_off:",
    "unreadable": ":material/broken_image:",
}


def status_text(status: str) -> str:
    """Icon and word, never colour alone."""
    return f"{STATUS_ICONS.get(status, ':material/help:')} {status.capitalize()}"


def percent(share: float | None, digits: int = 1) -> str:
    return "not measured" if share is None else f"{100 * share:.{digits}f} %"


def points(gain: float | None) -> str:
    """A difference of two shares, in percentage points."""
    return "not measured" if gain is None else f"{100 * gain:+.1f} points"


def amount(number: float) -> str:
    """Three digits and a prefix: 12.5 M."""
    for limit, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= limit:
            return f"{number / limit:.3g}{prefix}"
    return f"{number:.3g}"


def counted(multiply_adds: float, *, as_flops: bool = False) -> str:
    """Cost of one image; one multiply-add is two floating-point operations."""
    number, unit = (2 * multiply_adds, "FLOPs") if as_flops else (multiply_adds, "MACs")
    return f"{amount(number)}{'' if number >= 1e3 else ' '}{unit}"


def times(ratio: float) -> str:
    return f"{ratio:.1f}×" if ratio < 100 else f"{ratio:.0f}×"


def size(num_bytes: float) -> str:
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= limit:
            return f"{num_bytes / limit:.3g} {unit}"
    return f"{num_bytes:.0f} B"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "not yet known"
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def listed(calls: Mapping[str, int]) -> str:
    """add (12), softmax (1)"""
    return ", ".join(f"{name} ({count})" for name, count in calls.items())
