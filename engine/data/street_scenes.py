"""Streets and open land drawn by arithmetic, with the class of every pixel, in three domains.

For the demo of (enhanced) spirit distillation: the teacher learns on `source`, the student is for
`target`, and `proximity` is like the target but not the same. The domains are ours. A scene
depends on (seed, domain, index) and the size alone, on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.data.street_drawing import FINE, Camera, Canvas, Colour, Die, View, open_land, street

Domain = Literal["source", "target", "proximity"]
Range = tuple[float, float]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

STREAM = 13  # of these scenes, whatever else is drawn by the same seed
SHADE = 0.55  # what a shadow leaves of a colour
GRAIN = 2.5  # grey levels, the noise of the camera

CLASSES: Mapping[Domain, tuple[str, ...]] = {
    "source": (
        *("sky", "ground", "building", "plant", "car"),
        *("person", "animal", "boat", "sign", "water"),
    ),
    "target": ("road", "sidewalk", "building", "vegetation", "sky", "car", "person"),
    "proximity": ("road", "sidewalk", "building", "vegetation", "sky", "car", "person"),
}

# What is drawn -> the class it belongs to, where that has another name.
OTHER_NAMES: Mapping[Domain, Mapping[str, str]] = {
    "source": {"road": "ground", "pavement": "ground", "grass": "ground", "land": "ground"},
    "target": {"pavement": "sidewalk", "grass": "vegetation", "plant": "vegetation"},
    "proximity": {"pavement": "sidewalk", "grass": "vegetation", "plant": "vegetation"},
}

# How rough a surface looks: standard deviation in grey levels from pixel to pixel.
ROUGHNESS: Mapping[str, int] = {
    **{"sky": 2, "road": 6, "pavement": 7, "grass": 10, "land": 8, "building": 6, "plant": 16},
    **{"car": 3, "person": 4, "animal": 7, "boat": 3, "sign": 2, "water": 8},
}

# Colours of the classes on screen: "muted" of Paul Tol's colour schemes (SRON/EPS/TN/09-002), made
# to be told apart by colour-blind readers. A class has one colour in every domain.
_COLOURS: Mapping[str, Colour] = {
    "sky": (136, 204, 238),
    "ground": (221, 204, 119),
    "road": (221, 204, 119),
    "building": (221, 221, 221),
    "plant": (17, 119, 51),
    "vegetation": (17, 119, 51),
    "car": (51, 34, 136),
    "person": (204, 102, 119),
    "animal": (136, 34, 85),
    "boat": (170, 68, 153),
    "sidewalk": (170, 68, 153),
    "sign": (153, 153, 51),
    "water": (68, 170, 153),
}
PALETTE: Mapping[Domain, tuple[Colour, ...]] = {
    domain: tuple(_COLOURS[name] for name in classes) for domain, classes in CLASSES.items()
}


@dataclass(frozen=True, slots=True)
class Look:
    """How the scenes of a domain may look; ranges are drawn from evenly.

    number:    tells the domains' random streams apart
    horizon:   share of the height
    jitter:    standard deviation of a class's colour from scene to scene, in grey levels
    gain:      factor of all grey levels
    tint:      grey levels added to red, green and blue: the middle, and how far from it at most
    vanishing: where straight streets end, share of the width
    street:    share of scenes that are streets; the others are open land
    """

    number: int
    horizon: Range
    jitter: float
    gain: Range
    tint: tuple[Colour, float]
    vanishing: Range
    street: float


LOOKS: Mapping[Domain, Look] = {
    "source": Look(0, (0.20, 0.70), 45, (0.5, 1.5), ((0, 0, 0), 25), (0.1, 0.9), 0.5),
    "target": Look(1, (0.40, 0.50), 14, (0.45, 1.25), ((-12, 0, 14), 5), (0.42, 0.58), 1.0),
    "proximity": Look(2, (0.36, 0.56), 20, (0.45, 1.45), ((14, 6, -8), 8), (0.35, 0.65), 1.0),
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What was drawn for one scene; units as in Look.

    tint: (3,) float32; jitter: (classes, 3) float32 grey levels
    """

    horizon: float
    vanishing: float
    gain: float
    is_street: bool
    tint: Floats
    jitter: Floats


def draw_scenes(
    domain: Domain, count: int, seed: int, height: int = 48, width: int = 96
) -> tuple[Bytes, Bytes]:
    """(count, 3, height, width) images and (count, height, width) masks, both uint8.

    A mask holds positions in CLASSES[domain]. Scene number i is the same whatever the count.
    """
    images = np.empty((count, 3, height, width), dtype=np.uint8)
    masks = np.empty((count, height, width), dtype=np.uint8)
    for index in range(count):
        images[index], masks[index] = draw_scene(domain, seed, index, height, width)
    return images, masks


def draw_scene(
    domain: Domain, seed: int, index: int, height: int, width: int
) -> tuple[Bytes, Bytes]:
    """(3, height, width) image and (height, width) mask of one scene."""
    die = Die(seed, STREAM, LOOKS[domain].number, index)
    conditions = draw_conditions(domain, die)
    canvas = Canvas(height, width)
    camera = Camera(conditions.horizon, conditions.vanishing * canvas.aspect, die.real(1.4, 2.4))
    view = View(canvas, camera, die)
    if conditions.is_street:
        street(view, with_signs="sign" in CLASSES[domain])
    else:
        open_land(view)
    names, other = CLASSES[domain], OTHER_NAMES[domain]
    labels = np.array([names.index(other.get(ink.kind, ink.kind)) for ink in canvas.inks])
    middle = canvas.dots[FINE // 2 :: FINE, FINE // 2 :: FINE]
    return exposed(canvas, labels, conditions, die), labels[middle >> 1].astype(np.uint8)


def draw_conditions(domain: Domain, die: Die) -> Conditions:
    """The first numbers of a scene."""
    look = LOOKS[domain]
    middle, spread = look.tint
    return Conditions(
        horizon=die.real(*look.horizon),
        vanishing=die.real(*look.vanishing),
        gain=die.real(*look.gain),
        is_street=die.happens(look.street),
        tint=np.array([tone + die.real(-spread, spread) for tone in middle], dtype=np.float32),
        jitter=look.jitter * die.noise(len(CLASSES[domain]), 3),
    )


def exposed(canvas: Canvas, labels: NDArray[np.int64], conditions: Conditions, die: Die) -> Bytes:
    """(3, H, W) uint8 picture of a canvas under its conditions; labels: (inks,) classes."""
    colours = np.array([ink.colour for ink in canvas.inks]) + conditions.jitter[labels]
    bright = np.floor(np.maximum(colours, 0)).astype(np.int32)
    dark = np.floor(np.float32(SHADE) * bright).astype(np.int32)
    rough = np.array([ROUGHNESS[ink.kind] for ink in canvas.inks], dtype=np.int32)
    rows = [np.column_stack([shade, rough]) for shade in (bright, dark)]
    table = np.stack(rows, axis=1).reshape(-1, 4)  # as dots are numbered

    # Whole numbers until here: their sum over a pixel's dots has no rounding to depend on.
    sums = np.zeros((*canvas.size, 4), dtype=np.int32)
    for row, column in np.ndindex(FINE, FINE):
        sums += table[canvas.dots[row::FINE, column::FINE]]
    means = sums.astype(np.float32) / np.float32(FINE * FINE)
    texture = means[:, :, 3:] * die.noise(*canvas.size, 1)
    light = (means[:, :, :3] + texture) * np.float32(conditions.gain) + conditions.tint
    light += np.float32(GRAIN) * die.noise(*canvas.size, 3)
    picture = np.floor(np.clip(light, 0, 255) + np.float32(0.5)).astype(np.uint8)
    return np.ascontiguousarray(picture.transpose(2, 0, 1))
