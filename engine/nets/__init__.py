"""Networks, one family a file."""

from engine.nets.staged import NETS, Inside, StagedNet, Tap, Trace, build_net, taps_of
from engine.registry import import_siblings

import_siblings(__name__, __path__)

__all__ = ["NETS", "Inside", "StagedNet", "Tap", "Trace", "build_net", "taps_of"]
