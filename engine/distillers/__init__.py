"""Distillers, one a file."""

from engine.distillers.base import DISTILLERS, Distiller, Pair, Setting, Spot, distil
from engine.registry import import_siblings

import_siblings(__name__, __path__)

__all__ = ["DISTILLERS", "Distiller", "Pair", "Setting", "Spot", "distil"]
