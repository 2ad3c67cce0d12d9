"""What a spec would do, before it is run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import torch

from engine.assembly import (
    check_parts,
    known_classes,
    located,
    make_method,
    make_net,
    make_teacher,
    usable_device,
)
from engine.data import DATASETS, DataSet
from engine.data.data_root import named_folders
from engine.distillers import DISTILLERS
from engine.errors import DistillError, SpecError, WeightsError
from engine.events import CostMeasured
from engine.jobs.common import CPU, NoBatches, described, loaded_data, runs_folder
from engine.measures.cost import measure_cost
from engine.methods import METHODS, POLICIES, Method
from engine.nets import NETS, StagedNet, build_net
from engine.registry import Registry
from engine.spec import NetChoice, RunSpec, read_spec

REGISTRIES: Mapping[str, Registry[Any]] = {
    "nets": NETS,
    "datasets": DATASETS,
    "distillers": DISTILLERS,
    "methods": METHODS,
    "policies": POLICIES,
}


def catalogue() -> dict[str, Any]:
    """Every registered part as plain data."""
    return {kind: [entry.describe() for entry in found] for kind, found in REGISTRIES.items()}


def folders() -> list[dict[str, Any]]:
    """The data sets found below DISTILL_DATA."""
    return named_folders()


def check(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a spec can run: what is wrong with it and where, what it costs, where it teaches."""
    errors: list[dict[str, str]] = []
    found: dict[str, Any] = {"errors": errors, "warnings": [], "spots": [], "costs": {}, "data": {}}
    try:
        read = read_spec(spec)
        check_parts(read)
        data = loaded_data(read.data, read.seed)
        found["data"] = described(data)
        found["costs"] = {
            role: cost_of(net, classes, data.input_shape).model_dump()
            for role, net, classes in (
                ("teacher", read.teacher, _teacher_classes(read, data)),
                ("student", read.student, len(data.classes)),
            )
            if net is not None
        }
        method = drafted(read, data)
        found["spots"] = [{"name": name} for name in method.spots]
        found["warnings"] = _warnings(read, data, method, found["costs"])
        check_weights(read, data)
    except DistillError as error:
        errors.append({"where": error.where, "message": str(error)})
    return found


def pairs(spec: Mapping[str, Any]) -> dict[str, str]:
    """For every listed net: why it cannot be the student of this spec, or nothing."""
    read = read_spec(spec)
    data = loaded_data(read.data, read.seed)
    reasons = {}
    for entry in NETS:
        if entry.facts.get("task", "classify") != read.task:
            reasons[entry.name] = f"It is for task {entry.facts.get('task', 'classify')}."
            continue
        try:
            drafted(read.model_copy(update={"student": NetChoice(name=entry.name)}), data)
            reasons[entry.name] = ""
        except DistillError as error:
            reasons[entry.name] = error.message
    return reasons


def cost(net: Mapping[str, Any], num_classes: int, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """What a net costs, without latency."""
    tall, wide = input_shape[1:]
    return cost_of(NetChoice.model_validate(net), num_classes, (3, tall, wide)).model_dump()


def cost_of(net: NetChoice, num_classes: int, input_shape: tuple[int, int, int]) -> CostMeasured:
    """What a net costs, without latency; remembered."""
    plain = net.model_copy(update={"weights": "none"})
    return _cost_of(plain.model_dump_json(), num_classes, input_shape)


@lru_cache(maxsize=256)
def _cost_of(net: str, num_classes: int, input_shape: tuple[int, int, int]) -> CostMeasured:
    choice = NetChoice.model_validate_json(net)
    built = build_net(
        choice.name, choice.knobs, num_classes=num_classes, input_shape=input_shape, seed=0
    )
    device = torch.device("cpu")
    return measure_cost(built, role="", name=choice.name, device=device, with_latency=False)


def drafted(spec: RunSpec, data: DataSet) -> Method:
    """The method of a spec, built on the meta device: no memory, no arithmetic.

    Raises:
        SpecError: this pair cannot be distilled this way.
    """

    def built(choice: NetChoice) -> StagedNet:
        return build_net(
            choice.name,
            choice.knobs,
            num_classes=len(data.classes),
            input_shape=data.input_shape,
        )

    with torch.device("meta"):
        with located("student"):
            student = built(spec.student)
        with located("teacher"):
            teacher = built(spec.teacher) if spec.teacher else None
        return make_method(
            spec,
            data,
            student,
            teacher,
            device=torch.device("meta"),
            batches=NoBatches(len(data.train)),
        )


def check_weights(spec: RunSpec, data: DataSet) -> None:
    """Whether the weights of a spec's nets are there and fit.

    Raises:
        WeightsError: with the setting in `where`.
    """
    for part, choice in (("teacher", spec.teacher), ("student", spec.student)):
        if choice is None:
            continue
        with located(f"{part}.weights"):
            if part == "teacher" and choice.weights == "none":
                raise WeightsError("the teacher has no weights", hint="Give a file or train it.")
            if part == "teacher":
                make_teacher(spec, data, runs=runs_folder(), device=CPU)
            elif choice.weights != "none":
                make_net(choice, data, runs=runs_folder(), seed=spec.seed)


def _teacher_classes(spec: RunSpec, data: DataSet) -> int:
    """What the teacher tells apart: where it may know other classes, as its weights say."""
    facts = METHODS[spec.method.name].facts
    own = 0
    if facts.get("teacher_classes") == "any" and spec.teacher and spec.teacher.weights != "none":
        with suppress(WeightsError):  # told by `check_weights`
            own = known_classes(spec.teacher, runs_folder())
    return own or len(data.classes)


def _warnings(
    spec: RunSpec, data: DataSet, method: Method, costs: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, str]]:
    found = [
        (f"method.knobs.{knob}", f"{knob} has no effect here: {method.idle_knobs[knob]}.")
        for knob in spec.method.knobs
        if knob in method.idle_knobs
    ]
    if "teacher" in costs:
        teacher, student = (costs[role]["multiply_adds"] for role in ("teacher", "student"))
        if student >= teacher:
            found.append(("student.name", "The student costs as much as the teacher, or more."))
    try:
        usable_device(spec.device)
    except SpecError as error:
        found.append(("device", str(error)))
    if spec.task == "classify" and spec.schedule.batch > len(data.train):
        found.append(("schedule.batch", "The batch is larger than the training set."))
    return [{"where": where, "message": message} for where, message in found]
