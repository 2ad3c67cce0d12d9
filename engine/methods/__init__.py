"""Methods, one a file."""

from engine.methods.base import METHODS, Materials, Method
from engine.methods.spot_policy import POLICIES
from engine.registry import import_siblings

import_siblings(__name__, __path__)

__all__ = ["METHODS", "POLICIES", "Materials", "Method"]
