"""What nets cost: tables of parameters, multiply-adds, latency and size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.api import CostMeasured, RunView
from pages.charts.words import amount, counted, duration, listed, size, times


def cost_rows(view: RunView, *, as_flops: bool = False) -> list[dict[str, str]]:
    """One row for each quantity: teacher, student, and how many times less.

    A ratio compares two figures of one way of counting, never of two.
    """
    teacher, student = view.costs.get("teacher"), view.costs.get("student")
    flops = "FLOPs (2 for each multiply-add)" if as_flops else "Multiply-adds (MACs)"

    def macs(number: float) -> str:
        return counted(number, as_flops=as_flops)

    quantities = [
        ("Parameters", "parameters", amount),
        (flops, "multiply_adds", macs),
        ("The same as fvcore counts it", "fvcore_multiply_adds", macs),
        ("Time for one image, here", "latency", duration),
        ("File", "file_bytes", size),
    ]
    rows = []
    for label, name, write in quantities:
        values = [None if cost is None else getattr(cost, name) for cost in (teacher, student)]
        rows.append(
            {
                "": label,
                "Teacher": write(values[0]) if values[0] else "-",
                "Student": write(values[1]) if values[1] else "-",
                "Ratio": times(values[0] / values[1]) if values[0] and values[1] else "-",
            }
        )
    return rows


def stage_rows(cost: CostMeasured, *, as_flops: bool = False) -> list[dict[str, Any]]:
    """One row for each stage, with its share of the whole."""
    whole = sum(stage.get("multiply_adds", 0) for stage in cost.stages.values()) or 1
    return [
        {
            "Stage": name,
            "Parameters": amount(stage.get("parameters", 0)),
            "FLOPs" if as_flops else "MACs": counted(
                stage.get("multiply_adds", 0), as_flops=as_flops
            ),
            "Share": stage.get("multiply_adds", 0) / whole,
        }
        for name, stage in cost.stages.items()
    ]


def uncounted_text(costs: Mapping[str, CostMeasured]) -> str:
    """Which operators fvcore leaves out; empty where it leaves out none."""
    said = [f"{role}: {listed(cost.uncounted)}" for role, cost in costs.items() if cost.uncounted]
    return "Not counted, so the real cost is a little higher. " + "; ".join(said) if said else ""


def fewer_computations(view: RunView) -> float | None:
    """How many times fewer multiply-adds the student needs than the teacher."""
    teacher, student = view.costs.get("teacher"), view.costs.get("student")
    if teacher is None or student is None or not student.multiply_adds:
        return None
    return teacher.multiply_adds / student.multiply_adds
