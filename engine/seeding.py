"""Every random draw of a run is a function of its seed and of what the draw is for."""

from __future__ import annotations

import hashlib


def seed_for(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, the same on every machine.

    Draws for different purposes are independent, so that switching one part of a
    run on or off does not shift the draws of another.

    Args:
        seed: the run's seed.
        purpose: what the draw is for, as in `"augment", epoch, step`.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
