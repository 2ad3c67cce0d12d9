"""What a step of distillation costs, as ratios of medians of interleaved steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from engine.data.batch import Batch
from engine.distillers import DISTILLERS
from engine.methods import METHODS, POLICIES, Materials
from engine.nets import NETS, StagedNet, build_net
from engine.nets.freeze import freeze
from engine.spec import Schedule
from engine.training.loop import Stepped, fit
from engine.training.tally import Tally

BATCH, CLASSES, SHAPE = 64, 100, (3, 32, 32)
STEPS = 782  # of an epoch of 50,000 images
SHARES = (1.0, 0.5)
EVERY = 4  # steps from one step of the policy to the next, where its cost is spread
EPOCHS = 1000


@dataclass(frozen=True, slots=True)
class Drawn:
    """One batch of noise, again and again."""

    batch: Batch
    samples: int = BATCH * STEPS
    steps: int = STEPS

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for step in range(start, STEPS):
            index = self.batch.index + step * BATCH
            yield Batch(self.batch.image, self.batch.target, index)


def bench_steps(
    teacher: str,
    student: str,
    distillers: Sequence[str],
    *,
    precision: str,
    device: str,
    rounds: int,
) -> list[dict[str, Any]]:
    """Rows of the table, one for each distiller and share of samples that the policy keeps.

    `bare` is the least that distillation needs: the teacher forward without gradients, the
    student forward and backward on the labels, SGD. `ordinary` is our loop with the policy
    `all`, `adaptive` with `learned`, `amortised` with a policy that learns at every 4th step.
    Each round takes one step of every kind in turn (of `amortised` four, of which the mean
    counts), so that what else the machine does falls on all of them.

    Raises:
        SpecError: unknown parts, or a pair that cannot be distilled this way.
    """
    batch = _noise(torch.device(device))
    make = partial(_materials, teacher, student, batch, getattr(torch, precision))
    kinds = {"bare": _bare(make(None, None))}
    for name in distillers:
        kinds[name] = _ours(make(name, "all"))
        for share in SHARES:
            for every in (1, EVERY):
                kinds[f"{name} {share} {every}"] = _ours(make(name, "learned"), share, every)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, steps in kinds.items():
            count = EVERY if kind.endswith(f" {EVERY}") else 1
            taken = _timed(steps, count, torch.device(device))
            if number > 0:  # the first is for memory and code to be found
                seconds[kind].append(taken / count)
    median = {kind: statistics.median(found) for kind, found in seconds.items()}
    return [
        {
            "teacher": NETS[teacher].name,
            "student": NETS[student].name,
            "distiller": name,
            "precision": precision,
            "share": share,
            "bare_s": median["bare"],
            "ordinary_over_bare": median[name] / median["bare"],
            "adaptive_over_ordinary": median[f"{name} {share} 1"] / median[name],
            "amortised_over_ordinary": median[f"{name} {share} {EVERY}"] / median[name],
        }
        for name in distillers
        for share in SHARES
    ]


def _noise(device: torch.device) -> Batch:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(BATCH, *SHAPE, generator=generator).to(device)
    target = torch.randint(CLASSES, (BATCH,), generator=generator).to(device)
    image = image.contiguous(memory_format=torch.channels_last)
    return Batch(image, target, torch.arange(BATCH, device=device))


def _materials(
    teacher: str,
    student: str,
    batch: Batch,
    precision: torch.dtype,
    distiller: str | None,
    policy: str | None,
) -> Materials:
    def net(name: str) -> StagedNet:
        made = build_net(name, {}, num_classes=CLASSES, input_shape=SHAPE, seed=0)
        return made.to(batch.image.device)

    pupil, master = net(student), freeze(net(teacher))
    return Materials(
        student=pupil,
        teacher=master,
        student_taps=pupil.taps(),
        teacher_taps=master.taps(),
        is_same_family=False,
        data=Drawn(batch),
        targets=torch.arange(BATCH * STEPS) % CLASSES,
        num_classes=CLASSES,
        distiller=partial(DISTILLERS[distiller].make) if distiller else None,
        policy=partial(POLICIES[policy].make) if policy else None,
        schedule=Schedule(epochs=EPOCHS, batch=BATCH, lr=1e-3, weight_decay=5e-4),
        seed=0,
        device=batch.image.device,
        precision=precision,
        peer=lambda design, called: (pupil, {}),
    )


def _bare(materials: Materials) -> Iterator[None]:
    """Steps of the least that distillation needs."""
    student, teacher = materials.student.train(), materials.teacher
    assert teacher is not None
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    for batch in materials.data.epoch(0):
        with materials.autocast():
            with torch.no_grad():
                teacher(batch.image)
            logits = student(batch.image)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), batch.target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield


def _ours(materials: Materials, share: float | None = None, every: int = 1) -> Iterator[None]:
    """Steps of our loop; with a share, of a policy that keeps it as it is and learns."""
    torch.manual_seed(0)
    knobs = {} if share is None else {"policy_every": every, "policy_lr": 1e-12}
    method = METHODS["spot_adaptive"].make(materials, knobs=knobs)
    if share is not None:
        head = method.modules["policy"].head
        assert isinstance(head, nn.Linear)
        with torch.no_grad():
            head.weight.zero_()
            head.bias.zero_()
            head.bias[0::2] += 100.0 if share == 1 else 0.0
    phase = method.plan()[-1]
    tally = Tally(materials.data.samples, CLASSES)
    for item in fit(phase, phase.begin(), tally, at=(0, 0, 0), seed=0):
        if isinstance(item, Stepped):
            yield


def _timed(steps: Iterator[None], count: int, device: torch.device) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        next(steps)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun
