"""`shapes`: friendly 32x32 pictures drawn by arithmetic, the same pixels on every machine.

Only raw words of PCG64 are used (numpy keeps their stream, not that of its distributions), no
sine or exponential is taken per image, and float32 sees only + - * / floor clip: operations that
IEEE 754 fixes to the last bit. The one matrix product has whole or dyadic numbers: it is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from engine.data.batch import DATASETS, Augment, DataSet
from engine.data.outlines import CELLS, NAMES, REACH, distance_table
from engine.data.tensor_split import TensorSplit, fingerprint

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

SIZE = 32
CHUNK = 256  # images drawn at once; part of what fixes the pixels
NUM_DISTRACTORS = 4
ROW_WORDS = 864  # of an image: parameters, lattice bytes, a gap, noise bytes
PARAMETERS, LATTICE, NOISE = slice(0, 80), slice(80, 84), slice(96, 864)
VALIDATION_SEED, TEST_SEED = 800_000, 900_000

PALE = (
    *((246, 236, 214), (214, 232, 240), (225, 240, 218)),
    *((244, 221, 226), (230, 224, 246), (250, 228, 196)),
)
DARK = ((44, 62, 92), (58, 48, 84), (30, 84, 88), (92, 50, 58), (66, 78, 56), (70, 74, 84))
BRIGHT = (
    *((231, 76, 60), (243, 156, 18), (241, 212, 72), (46, 184, 110), (26, 160, 200)),
    *((60, 92, 210), (142, 68, 190), (236, 100, 170), (24, 34, 54), (250, 248, 240)),
    *((120, 72, 40), (150, 220, 200)),
)

BACKGROUNDS = np.array(PALE + DARK, dtype=np.float32)  # (12, 3)
FOREGROUNDS = np.array(BRIGHT, dtype=np.float32)  # (12, 3)
SINE = (np.floor(np.sin(np.arange(1024) * (math.tau / 1024)) * 4096 + 0.5) / 4096).astype("f4")
ONE = np.ones(1, dtype=np.float32)
CENTRES = ((2 * np.arange(SIZE) + 1) / SIZE - 1).astype(np.float32)  # of the pixels, in -1..1


@DATASETS.register(
    "shapes",
    title="Shapes (drawn by the computer)",
    source="Distill Studio; no download",
    num_classes=10,
    input_shape=(3, SIZE, SIZE),
    images={"train": 3000, "validation": 500, "test": 3000},
    needs_path=False,
    licence="made by this program, free of rights",
    where="drawn in about a second when a run starts; no files",
)
def shapes(
    root: Path,
    run_seed: int,
    *,
    num_train: Annotated[
        int, Field(ge=100, le=60_000, description="Images in the training split")
    ] = 3000,
    seed: Annotated[
        int,
        Field(ge=0, lt=VALIDATION_SEED, description="Which training images are drawn"),
    ] = 2,
    crop_padding: Annotated[
        int, Field(ge=0, le=8, description="Largest random shift of a training image, in pixels")
    ] = 2,
    flip: Annotated[bool, Field(description="Mirror half of the training images")] = True,
) -> DataSet:
    """Ten shapes on busy backgrounds; a net must find the large one.

    Colour says nothing about the class. Validation (1,000) and test (3,000) are always the same.
    """
    train, validation, test = (
        TensorSplit(*map(torch.from_numpy, draw(count, drawn_by)))
        for count, drawn_by in ((num_train, seed), (500, VALIDATION_SEED), (3000, TEST_SEED))
    )
    return DataSet(
        name="shapes",
        classes=NAMES,
        input_shape=(3, SIZE, SIZE),
        mean=(128 / 255, 128 / 255, 128 / 255),
        std=(64 / 255, 64 / 255, 64 / 255),
        augment=Augment(crop_padding=crop_padding, reflect=True, flip=flip),
        train=train,
        validation=validation,
        test=test,
        fingerprint=fingerprint(NAMES, train, validation, test),
    )


def draw(count: int, seed: int) -> tuple[NDArray[np.uint8], Ints]:
    """(count, 3, 32, 32) images and their (count,) classes, balanced and shuffled."""
    shuffle = np.random.PCG64(np.random.SeedSequence([seed, 7])).random_raw(count)
    labels = (np.arange(count) % len(NAMES))[np.argsort(shuffle, kind="stable")]
    images = np.empty((count, 3, SIZE, SIZE), dtype=np.uint8)
    for chunk, start in enumerate(range(0, count, CHUNK)):
        rows = slice(start, start + CHUNK)
        images[rows] = draw_chunk(labels[rows], seed, chunk)
    return images, labels


def draw_chunk(labels: Ints, seed: int, chunk: int) -> NDArray[np.uint8]:
    """(B,) classes -> (B, 3, 32, 32): one chunk, whatever the other chunks are."""
    source = np.random.PCG64(np.random.SeedSequence([seed, 11, chunk]))
    words = source.random_raw(len(labels) * ROW_WORDS).reshape(len(labels), ROW_WORDS)
    dice = Dice(words[:, PARAMETERS])
    lattice = _bytes(words[:, LATTICE])[:, :25]

    image, base = _background(dice, lattice)
    _add_distractors(image, dice)
    _add_main_shape(image, labels, base, dice)
    _add_occluder(image, base, dice)
    _add_noise(image, _bytes(words[:, NOISE]), dice)
    drawn: NDArray[np.uint8] = np.floor(np.clip(image, 0, 255) + np.float32(0.5)).astype(np.uint8)
    return drawn


class Dice:
    """The parameters of B images, drawn in the order in which they are asked for.

    words: (B, 80), one column a question.
    """

    def __init__(self, words: Words) -> None:
        self._columns: Iterator[Words] = iter(np.ascontiguousarray(words.T))

    def real(self, low: float = 0.0, high: float = 1.0) -> Floats:
        """(B,) numbers from low up to, not with, high."""
        share = (next(self._columns) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        return np.float32(low) + share * np.float32(high - low)

    def whole(self, below: int | Ints) -> Ints:
        """(B,) integers from 0 up to, not with, `below`, one bound or (B,) bounds."""
        high = next(self._columns) >> np.uint64(32)
        return ((high * np.asarray(below, dtype=np.uint64)) >> np.uint64(32)).astype(np.int64)

    def happens(self, share: float) -> NDArray[np.bool_]:
        """(B,) true in this share of the images."""
        return self.real() < np.float32(share)

    def direction(self) -> tuple[Floats, Floats]:
        """(B,) cosines and (B,) sines of any angle."""
        return _direction(self.whole(1024))


def _background(dice: Dice, lattice: NDArray[np.uint8]) -> tuple[Floats, Ints]:
    """(B, 3, 32, 32) canvas and (B,) the background colour it began with."""
    base = dice.whole(len(BACKGROUNDS))
    colour = BACKGROUNDS[base]
    contrast = np.where(base < len(PALE), -84, 70).astype(np.float32)[:, None]
    tint = FOREGROUNDS[dice.whole(len(FOREGROUNDS))]
    second = np.float32(0.6) * (colour + contrast) + np.float32(0.4) * tint
    strength = dice.real(0.35, 1.0) * np.float32(0.60)
    texture = (_texture(dice, lattice) - np.float32(0.5)) * _planes(strength)
    image = colour[:, :, None, None] + texture[:, None] * (second - colour)[:, :, None, None]
    light = _along(*dice.direction()) * _planes(14 * dice.real(0.2, 1.0))
    return image + light[:, None], base


def _texture(dice: Dice, lattice: NDArray[np.uint8]) -> Floats:
    """(B, 32, 32) from 0 to 1: stripes, checks, dots or, twice as often, clouds."""
    cosine, sine = dice.direction()
    frequency = _planes(dice.real(1.2, 3.2))
    a = _wave(_along(cosine, sine) * frequency + _planes(dice.real()))
    b = _wave(_along(-sine, cosine) * frequency + _planes(dice.real()))
    kind = np.minimum(dice.whole(5), 3)
    half = np.float32(0.5)
    stripes = (a - half) * 4 + half
    checks = (a - half) * (b - half) * 24 + half
    dots = (np.float32(0.30) - a * a - b * b) * 5 + half
    drawn = np.stack([stripes, checks, dots, _clouds(lattice)])
    texture: Floats = np.clip(drawn[kind, np.arange(len(kind))], 0, 1)
    return texture


def _clouds(lattice: NDArray[np.uint8]) -> Floats:
    """(B, 25) bytes on a 5x5 lattice -> (B, 32, 32) from 0 to 1, bilinear."""
    place = (2 * np.arange(SIZE)[:, None] + 1) / 16  # of the pixels, lattice points being 0..4
    weights = np.clip(1 - np.abs(place - np.arange(5)), 0, 1).astype(np.float32)  # (32, 5)
    points = lattice.reshape(-1, 5, 5).astype(np.float32)
    clouds: Floats = (weights @ points @ weights.T) / np.float32(255)
    return clouds


def _add_distractors(image: Floats, dice: Dice) -> None:
    for _ in range(NUM_DISTRACTORS):
        opacity = dice.happens(0.75) * dice.real(0.5, 1.0)
        shape, colour = dice.whole(len(NAMES)), FOREGROUNDS[dice.whole(len(FOREGROUNDS))]
        radius, turn = dice.real(0.15, 0.28), dice.whole(1024)
        centre = dice.real(-0.95, 0.95), dice.real(-0.95, 0.95)
        distance = _distance(shape, centre, radius, turn, ONE)
        _paint(image, colour[:, :, None, None], _coverage(distance) * _planes(opacity))


def _add_main_shape(image: Floats, labels: Ints, base: Ints, dice: Dice) -> None:
    radius = dice.real(0.56, 0.84)
    centre = dice.real(-0.16, 0.16), dice.real(-0.16, 0.16)
    turn = np.floor(dice.real(-0.5, 0.5) * np.float32(0.16 * 1024)).astype(np.int64) % 1024
    stretch = 1 + dice.real(-0.09, 0.09)
    distance = _distance(labels, centre, radius, turn, stretch)
    opacity = _planes(1 - np.float32(0.30) * dice.real())

    shadow = np.clip(1 - np.float32(0.3) * np.maximum(distance, 0), 0, 1)
    image *= (1 - np.float32(0.28) * opacity * shadow)[:, None]
    colour = _contrasting(base, dice)
    _paint(image, _filling(colour, distance, dice), _coverage(distance) * opacity)


def _contrasting(base: Ints, dice: Dice) -> Floats:
    """(B, 3) a foreground colour at least 56 grey levels from the background colour."""
    allowed = np.abs(_luma(FOREGROUNDS) - _luma(BACKGROUNDS)[:, None]) >= 56  # (12, 12)
    first_allowed = np.argsort(~allowed, axis=1, kind="stable")
    pick = dice.whole(allowed.sum(axis=1)[base])
    return FOREGROUNDS[first_allowed[base, pick]]


def _filling(colour: Floats, distance: Floats, dice: Dice) -> Floats:
    """(B, 3, 32, 32): plain (two of four), stripes or a gradient; a third has an inner outline."""
    cosine, sine = dice.direction()
    line = _along(cosine, sine)
    half = np.float32(0.5)
    wave = _wave(line * _planes(dice.real(1.5, 3.0)) + _planes(dice.real()))
    stripes = np.clip((wave - half) * 4 + half, 0, 1)
    gradient = np.clip(line * np.float32(0.7) + half, 0, 1)
    kind = np.maximum(dice.whole(4) - 1, 0)
    shade = np.stack([np.zeros_like(line), stripes, gradient])[kind, np.arange(len(kind))]
    second = np.float32(0.62) * colour + 20
    edge = _planes(dice.happens(0.35)) * np.clip(distance + 2, 0, 1)
    bright = _luma(colour)[:, None] > 110
    line_colour = np.where(bright, np.float32(0.35) * colour, np.float32(0.4) * colour + 150)

    filling = np.repeat(colour, SIZE * SIZE, axis=1).reshape(-1, 3, SIZE, SIZE)
    _paint(filling, second[:, :, None, None], np.float32(0.85) * shade)
    _paint(filling, line_colour[:, :, None, None], edge)
    return filling


def _add_occluder(image: Floats, base: Ints, dice: Dice) -> None:
    """A bar of another background colour across a third of the images."""
    there = dice.happens(0.35)
    half_width, offset = dice.real(0.06, 0.15), dice.real(-0.45, 0.45)
    gap = np.abs(_along(*dice.direction()) - _planes(offset)) - _planes(half_width)
    other = (base + 1 + dice.whole(len(BACKGROUNDS) - 1)) % len(BACKGROUNDS)
    cover = _coverage(gap * (SIZE // 2)) * _planes(there)
    _paint(image, BACKGROUNDS[other][:, :, None, None], cover)


def _add_noise(image: Floats, noise: NDArray[np.uint8], dice: Dice) -> None:
    """Triangular, 2 to 13 grey levels; noise: (B, 6144)."""
    pairs = noise.reshape(-1, 2, 3, SIZE, SIZE).astype(np.float32)
    strength = dice.real(0.15, 1.0) * np.float32(32 / 256)
    image += (pairs[:, 0] + pairs[:, 1] - 255) * strength[:, None, None, None]


def _distance(
    shape: Ints, centre: tuple[Floats, Floats], radius: Floats, turn: Ints, stretch: Floats
) -> Floats:
    """(B, 32, 32) distance of each pixel from the outline, in pixels, negative inside.

    Coordinates are sums of a row's and a column's share, so that an image costs one look-up.
    """
    cosine, sine = _direction(turn)
    x = CENTRES - centre[0][:, None]
    y = CENTRES - centre[1][:, None]
    cells = np.float32(CELLS / (2 * REACH)) / radius
    across = (cells / stretch)[:, None]
    down = (cells / (2 - stretch))[:, None]
    u = _cell((cosine[:, None] * x * across)[:, None, :] + (sine[:, None] * y * across)[:, :, None])
    v = _cell((cosine[:, None] * y * down)[:, :, None] - (sine[:, None] * x * down)[:, None, :])
    places = v * CELLS + u + _planes(shape * (CELLS * CELLS)).astype(np.int32)
    distance: Floats = distance_table().reshape(-1).take(places) * _planes(radius * (SIZE // 2))
    return distance


def _cell(coordinate: Floats) -> NDArray[np.int32]:
    """The nearest cell of the table for a coordinate in cells from its middle."""
    cell: NDArray[np.int32] = np.clip(coordinate + CELLS // 2, 0, CELLS - 1).astype(np.int32)
    return cell


def _direction(turn: Ints) -> tuple[Floats, Floats]:
    """(B,) angles in 1024ths of a turn -> (B,) cosines, (B,) sines."""
    return SINE[(turn + 256) % 1024], SINE[turn]


def _along(cosine: Floats, sine: Floats) -> Floats:
    """(B, 32, 32) how far each pixel lies in a direction."""
    return (cosine[:, None] * CENTRES)[:, None, :] + (sine[:, None] * CENTRES)[:, :, None]


def _wave(phase: Floats) -> Floats:
    """A triangle wave from 0 to 1."""
    return np.abs(2 * (phase - np.floor(phase)) - 1)


def _coverage(distance: Floats) -> Floats:
    """The share of a pixel that lies inside: smooth edges without oversampling."""
    coverage: Floats = np.clip(np.float32(0.5) - distance, 0, 1)
    return coverage


def _paint(image: Floats, colour: Floats, share: Floats) -> None:
    """Lay a colour (B, 3, 1 or 32, 1 or 32) over an image by a share (B, 32, 32), in place."""
    image += share[:, None] * (colour - image)


def _luma(colour: Floats) -> Ints:
    """(..., 3) -> (...) brightness from 0 to 255, in whole numbers."""
    red, green, blue = np.moveaxis(colour.astype(np.int64), -1, 0)
    luma: Ints = (77 * red + 150 * green + 29 * blue) >> 8
    return luma


def _planes(values: NDArray[Any]) -> NDArray[Any]:
    """(B,) -> (B, 1, 1), to meet (B, 32, 32)."""
    return values[:, None, None]


def _bytes(words: Words) -> NDArray[np.uint8]:
    """(B, n) words -> (B, 8n) bytes, the lowest first whatever the machine's order."""
    return np.ascontiguousarray(words.astype("<u8")).view(np.uint8)
