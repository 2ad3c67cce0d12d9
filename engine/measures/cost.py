"""What a net costs: parameters, multiply-adds, time, bytes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from statistics import median

import torch
from torch import Tensor

from engine.events import CostMeasured
from engine.nets.freeze import evaluating
from engine.nets.staged import StagedNet

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # fvcore compiles a loss that we do not use
    from fvcore.nn import FlopCountAnalysis

# The operators that papers count. fvcore's own total adds normalisation and pooling.
COUNTED = frozenset({"conv", "linear", "matmul", "einsum", "bmm", "addmm", "baddbmm"})
LATENCY_RUNS = 10


def measure_cost(
    net: StagedNet, *, role: str, name: str, device: torch.device, with_latency: bool = True
) -> CostMeasured:
    """Count what one image costs, and time it.

    Multiply-adds are those of convolutions, linear layers and matrix products; one
    multiply-add counts as one. Operators that do arithmetic but that fvcore does not count
    (additions, activations) are listed with their calls.

    Args:
        net: on `device`; its mode is restored.
        role: teacher or student.
        name: the net's registered name.
    """
    image = torch.zeros(1, *net.input_shape, device=device)
    analysis = FlopCountAnalysis(net, image).unsupported_ops_warnings(False)
    analysis = analysis.uncalled_modules_warnings(False).tracer_warnings("none")
    with evaluating(net), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit's tracer, inside fvcore
        by_stage = analysis.by_module_and_operator()
        uncounted = analysis.unsupported_ops()
        latency = _latency(net, image) if with_latency else 0.0
    return CostMeasured(
        net=role,
        name=name,
        input_shape=net.input_shape,
        parameters=sum(p.numel() for p in net.parameters()),
        multiply_adds=_counted(by_stage[""]),
        fvcore_multiply_adds=int(sum(by_stage[""].values())),
        stages={
            stage: {
                "parameters": sum(p.numel() for p in module.parameters()),
                "multiply_adds": _counted(by_stage[f"stages.{stage}"]),
            }
            for stage, module in net.stages.items()
        },
        uncounted=dict(uncounted),
        latency=latency,
        file_bytes=sum(_bytes(tensor) for tensor in net.state_dict().values()),
    )


def _counted(by_operator: Mapping[str, float]) -> int:
    return int(sum(count for name, count in by_operator.items() if name in COUNTED))


def _latency(net: StagedNet, image: Tensor) -> float:
    """Seconds for one image: the median of some runs after a few to warm up."""
    times = []
    with torch.no_grad():
        for run in range(LATENCY_RUNS + 3):
            begun = time.perf_counter()
            float(net(image).sum())  # a number on the host: the device has finished
            if run >= 3:
                times.append(time.perf_counter() - begun)
    return median(times)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
