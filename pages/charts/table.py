"""Runs as rows, with what distillation gained against the same student alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from engine.api import Summary
from pages.charts.colour import Role
from pages.charts.headline import ACCURACY, HEADLINES, headline_of

Split = Literal["test", "validation"]
MARKS = {
    "queued": "○",
    "preparing": "…",
    "running": "▶",
    "paused": "‖",
    "stopping": "■",
    "stopped": "■",
    "finished": "✓",
    "failed": "✕",
    "interrupted": "↯",
    "unreadable": "?",
}
SORTS = {  # what people read -> how it sorts; the highest and the newest first
    "Newest": lambda row: row.created,
    "Accuracy": lambda row: accuracy(row) or 0.0,
    "Name": None,
    "Status": None,
    "Time taken": lambda row: row.seconds,
    "Size": lambda row: row.size_bytes,
}


def title(summary: Summary) -> str:
    """The run's name, else who teaches whom and how."""
    if summary.name:
        return summary.name
    labels = summary.labels
    pair = f"{labels.teacher} → {labels.student}" if labels.teacher else labels.student
    return " · ".join(part for part in (pair, labels.method, labels.distiller) if part)


def role(summary: Summary) -> Role:
    """Whether the student learned alone or was taught; a teacher's own training is `teacher`."""
    if summary.role == "teacher":
        return "teacher"
    is_alone = summary.role == "alone" or summary.labels.method == "alone"
    return "alone" if is_alone else "taught"


def accuracy(summary: Summary, split: Split | None = None) -> float | None:
    """The headline of the student's last weights, 0 to 1; of the test split, else validation's."""
    figures = summary.figures
    if split == "validation" or (split is None and figures.last_test is None):
        return figures.last_validation
    return figures.last_test


def split_of(summary: Summary) -> Split:
    return "validation" if summary.figures.last_test is None else "test"


def gains(summaries: Iterable[Summary]) -> dict[str, float]:
    """Finished run -> headline taught minus alone, same data, student, schedule, seed and split."""
    rows = list(summaries)
    alone: dict[str, Summary] = {}
    for row in rows:
        if role(row) == "alone" and row.status == "finished":
            alone.setdefault(row.baseline_hash, row)
    found = {}
    for row in rows:
        partner = alone.get(row.baseline_hash)
        if role(row) != "taught" or row.status != "finished" or partner is None:
            continue
        split = split_of(row)
        mine, its = accuracy(row, split), accuracy(partner, split)
        if mine is not None and its is not None:
            found[row.id] = mine - its
    return found


def rows_of(
    summaries: Sequence[Summary], gained: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Plain rows of the table; numbers stay numbers so that columns can format them."""
    gained = gains(summaries) if gained is None else gained
    return [_row(summary, gained.get(summary.id)) for summary in summaries]


def shown_columns(names: Sequence[str], summaries: Sequence[Summary]) -> list[str]:
    """Without the headlines that none of these runs has; accuracy stays where there is none."""
    used = {headline_of(row.headline).short for row in summaries} or {ACCURACY.short}
    unused = {words.short for words in HEADLINES.values()} - used
    return [name for name in names if name not in unused]


def _row(summary: Summary, gain: float | None) -> dict[str, Any]:
    teacher, student = summary.costs.get("teacher"), summary.costs.get("student")
    ratio = (
        teacher.multiply_adds / student.multiply_adds
        if teacher and student and student.multiply_adds
        else None
    )
    value, best = accuracy(summary), summary.figures.best_validation
    return {
        "Status": f"{MARKS.get(summary.status, '?')} {summary.status.capitalize()}",
        "Run": title(summary),
        "Teacher": summary.labels.teacher,
        "Student": summary.labels.student,
        "Method": " + ".join(
            part for part in (summary.labels.method, summary.labels.distiller) if part
        ),
        **{
            words.short: 100 * value if value is not None and name == summary.headline else None
            for name, words in HEADLINES.items()
        },
        "Best (validation)": None if best is None else 100 * best,
        "Gain": None if gain is None else 100 * gain,
        "MACs": student.multiply_adds if student else None,
        "Fewer": ratio,
        "Progress": 100 * summary.progress if summary.status != "finished" else 100.0,
        "Seed": summary.seed,
        "Time": summary.seconds,
        "Size": summary.size_bytes / 1e6,
        "Created": datetime.fromtimestamp(summary.created, UTC) if summary.created else None,
        "Tags": list(summary.tags),
    }


def filtered(
    summaries: Iterable[Summary],
    *,
    search: str = "",
    statuses: Sequence[str] = (),
    tags: Sequence[str] = (),
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
) -> list[Summary]:
    """Runs that hold every word of the search and one value of each filter that is set."""
    words = search.lower().split()
    return [
        row
        for row in summaries
        if (not statuses or row.status in statuses)
        and (not tags or set(tags) & set(row.tags))
        and (not methods or row.labels.method in methods)
        and (not datasets or row.labels.data in datasets)
        and all(word in _searched(row) for word in words)
    ]


def ordered(summaries: Iterable[Summary], by: str) -> list[Summary]:
    """Sorted by one of SORTS."""
    if by == "Name":
        return sorted(summaries, key=lambda row: title(row).lower())
    if by == "Status":
        return sorted(summaries, key=lambda row: row.status)
    return sorted(summaries, key=SORTS[by], reverse=True)


def _searched(summary: Summary) -> str:
    labels = summary.labels
    parts = (title(summary), summary.id, labels.teacher, labels.student, labels.method)
    return " ".join((*parts, labels.distiller, labels.policy, labels.data, *summary.tags)).lower()
