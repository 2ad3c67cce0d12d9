"""A plane seen by a camera, and what stands on it: streets and open land.

Only raw words of PCG64 and + - * / floor on IEEE numbers decide what is drawn, so that a scene is
the same on every machine. Lengths on the picture are in picture heights, x to the right and y
down; lengths in the scene are in metres.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Colour = tuple[int, int, int]
Point = tuple[float, float]
Floats = NDArray[np.floating[Any]]
Area = tuple[slice, slice, NDArray[np.bool_]]  # rows, columns, which of them

FINE = 3  # dots along each side of a pixel; the middle one gives its label
LENS = 1.2  # picture heights that a metre takes at a depth of one metre
FAR = 60.0  # metres; what lies behind is skyline

CLOUD: Colour = (228, 230, 232)
ZENITHS: Sequence[Colour] = ((112, 160, 214), (140, 180, 222), (168, 180, 194), (196, 186, 190))
ASPHALT: Sequence[Colour] = ((92, 92, 98), (104, 102, 102), (80, 82, 90))
PAVING: Sequence[Colour] = ((168, 158, 152), (154, 148, 150), (180, 162, 146))
PAINTED: Colour = (214, 212, 204)
KERB: Colour = (194, 188, 182)
WALLS: Sequence[Colour] = (
    *((182, 150, 118), (150, 98, 82), (196, 188, 172), (142, 138, 142)),
    *((200, 170, 128), (126, 112, 106), (172, 126, 104)),
)
GLASS: Colour = (72, 80, 94)
ROOFS: Sequence[Colour] = ((134, 78, 64), (96, 90, 92), (112, 84, 70))
LEAVES: Sequence[Colour] = ((66, 106, 54), (82, 118, 58), (58, 92, 60), (104, 116, 56))
BARK: Colour = (92, 74, 58)
LAWNS: Sequence[Colour] = ((116, 134, 78), (104, 128, 74))
LAND: Sequence[Colour] = ((120, 136, 82), (188, 172, 132), (142, 128, 106), (134, 134, 130))
PAINTS: Sequence[Colour] = (
    *((196, 196, 200), (44, 46, 54), (150, 36, 40), (44, 70, 130), (232, 230, 226)),
    *((206, 164, 40), (52, 92, 76)),
)
TYRE: Colour = (30, 30, 34)
LAMP: Colour = (206, 44, 36)
CLOTHES: Sequence[Colour] = (
    *((176, 52, 60), (52, 70, 134), (222, 216, 206), (44, 44, 50), (196, 144, 52), (74, 116, 104)),
)
TROUSERS: Sequence[Colour] = ((44, 50, 78), (40, 40, 44), (110, 94, 76))
SKIN: Sequence[Colour] = ((222, 178, 150), (172, 124, 94), (110, 76, 58))
FURS: Sequence[Colour] = ((122, 82, 52), (226, 220, 208), (56, 48, 46), (186, 142, 92))
HULLS: Sequence[Colour] = ((232, 230, 224), (156, 52, 48), (44, 70, 116), (124, 86, 56))
PLATES: Sequence[Colour] = ((206, 40, 44), (40, 84, 176), (232, 190, 44))
WATER: Sequence[Colour] = ((84, 122, 142), (64, 106, 132), (106, 136, 136))


class Die:
    """Numbers drawn one after the other from the raw words of one generator."""

    def __init__(self, *entropy: int) -> None:
        self._source = np.random.PCG64(np.random.SeedSequence(entropy))

    def real(self, low: float, high: float) -> float:
        """A number from low up to, not with, high."""
        return low + (self._source.random_raw() >> 11) * 2.0**-53 * (high - low)

    def whole(self, below: int) -> int:
        """An integer from 0 up to, not with, `below`."""
        return (self._source.random_raw() >> 32) * below >> 32

    def happens(self, share: float) -> bool:
        """True this often."""
        return self.real(0, 1) < share

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.whole(len(options))]

    def noise(self, *shape: int) -> NDArray[np.float32]:
        """Bell-shaped numbers of mean 0 and standard deviation 1: sums of eight bytes."""
        words = self._source.random_raw(int(np.prod(shape))).astype("<u8")
        sums = words.view(np.uint8).reshape(*shape, 8).sum(axis=-1, dtype=np.int64)
        drawn: NDArray[np.float32] = (sums - 1020).astype(np.float32) / np.float32(209.02)
        return drawn


@dataclass(frozen=True, slots=True)
class Ink:
    """What a dot is: its kind (sky, road, ...) and its colour in grey levels."""

    kind: str
    colour: Colour


class Canvas:
    """The dots of one scene; a dot holds twice the number of its ink, plus one in the shade."""

    def __init__(self, height: int, width: int) -> None:
        self.size = height, width
        self.aspect = width / height
        self.inks: list[Ink] = []
        self.dots: NDArray[np.uint16] = np.zeros((FINE * height, FINE * width), dtype=np.uint16)
        self._scale = float(FINE * height)
        self._x: Floats = (np.arange(FINE * width) + 0.5) / self._scale
        self._y: Floats = (np.arange(FINE * height) + 0.5) / self._scale

    def ink(self, kind: str, colour: Colour) -> int:
        """The number of a new ink."""
        self.inks.append(Ink(kind, colour))
        return len(self.inks) - 1

    def fill(self, area: Area, ink: int) -> None:
        """Cover an area."""
        rows, columns, inside = area
        np.copyto(self.dots[rows, columns], np.uint16(2 * ink), where=inside)

    def shade(self, area: Area) -> None:
        """Darken an area; what it is stays."""
        rows, columns, inside = area
        dots = self.dots[rows, columns]
        np.bitwise_or(dots, np.uint16(1), out=dots, where=inside)

    def box(self, left: float, top: float, right: float, bottom: float) -> Area:
        """An upright rectangle."""
        rows, columns = self._between(top, bottom, 0), self._between(left, right, 1)
        return rows, columns, np.ones((1, 1), dtype=np.bool_)

    def ellipse(self, x: float, y: float, across: float, down: float) -> Area:
        """An ellipse by its centre and half its axes."""
        rows = self._between(y - down, y + down, 0)
        columns = self._between(x - across, x + across, 1)
        u, v = (self._x[columns] - x) / across, (self._y[rows] - y) / down
        return rows, columns, (u * u)[None, :] + (v * v)[:, None] <= 1

    def polygon(self, *corners: Point) -> Area:
        """A convex polygon by its corners, clockwise or not."""
        xs, ys = zip(*corners, strict=True)
        following = (*corners[1:], corners[0])
        turn = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(corners, following, strict=True))
        rows = self._between(min(ys), max(ys), 0)
        columns = self._between(min(xs), max(xs), 1)
        x, y = self.places(rows, columns)
        inside = np.ones((y.shape[0], x.shape[1]), dtype=np.bool_)
        for (x0, y0), (x1, y1) in zip(corners, following, strict=True):
            edge, height = (x1 - x0, y1 - y0) if turn > 0 else (x0 - x1, y0 - y1)
            inside &= edge * (y - y0) >= height * (x - x0)
        return rows, columns, inside

    def places(self, rows: slice, columns: slice) -> tuple[Floats, Floats]:
        """(1, w) x and (h, 1) y of the dots in these rows and columns."""
        return self._x[columns][None, :], self._y[rows][:, None]

    def _between(self, low: float, high: float, axis: int) -> slice:
        """The rows or columns whose middle lies between two places."""
        first, last = (math.ceil(place * self._scale - 0.5) for place in (low, high))
        end = self.dots.shape[axis]
        return slice(min(max(first, 0), end), min(max(last, 0), end))


@dataclass(frozen=True, slots=True)
class Camera:
    """Looks along a plane.

    horizon, vanishing: y and x on the picture where all straight streets end
    eye: metres above the plane
    """

    horizon: float
    vanishing: float
    eye: float


@dataclass(frozen=True, slots=True)
class Brush:
    """Draws in metres, to the right and up, from where a thing stands."""

    canvas: Canvas
    x: float
    y: float
    metre: float

    def scaled(self, factor: float) -> Brush:
        """The same place for a larger or smaller thing."""
        return Brush(self.canvas, self.x, self.y, self.metre * factor)

    def box(self, left: float, bottom: float, right: float, top: float, ink: int) -> None:
        """An upright rectangle."""
        (x0, y0), (x1, y1) = self._at((left, top)), self._at((right, bottom))
        self.canvas.fill(self.canvas.box(min(x0, x1), y0, max(x0, x1), y1), ink)

    def ellipse(self, right: float, up: float, across: float, down: float, ink: int) -> None:
        """An ellipse by its centre and half its axes."""
        m = self.metre
        area = self.canvas.ellipse(*self._at((right, up)), across * m, down * m)
        self.canvas.fill(area, ink)

    def polygon(self, *corners: Point, ink: int) -> None:
        """A convex polygon."""
        self.canvas.fill(self.canvas.polygon(*map(self._at, corners)), ink)

    def shadow(self, across: float) -> None:
        """A shadow on the ground, this wide to each side."""
        m = self.metre
        self.canvas.shade(self.canvas.ellipse(self.x, self.y, across * m, 0.2 * across * m))

    def _at(self, corner: Point) -> Point:
        return self.x + corner[0] * self.metre, self.y - corner[1] * self.metre


Thing = Callable[[Brush, Die], None]
Placed = tuple[float, float, Thing]  # depth and place to the right in metres, and what stands there


@dataclass(frozen=True, slots=True)
class View:
    """A canvas, the camera that looks for it, and the die of the scene."""

    canvas: Canvas
    camera: Camera
    die: Die

    def ground(self, right: float, depth: float) -> Point:
        """Where a point of the plane is seen; the camera stands at 0, 0."""
        metre = LENS / depth
        return self.camera.vanishing + right * metre, self.camera.horizon + self.camera.eye * metre

    def strip(self, left: float, right: float, near: float, far: float) -> Area:
        """A piece of the plane."""
        sides = ((left, far), (right, far), (right, near), (left, near))
        return self.canvas.polygon(*(self.ground(*corner) for corner in sides))

    def stand(self, things: list[Placed]) -> None:
        """Draw things where they stand, the farthest first."""
        for depth, right, thing in sorted(things, key=lambda placed: -placed[0]):
            thing(Brush(self.canvas, *self.ground(right, depth), LENS / depth), self.die)


def street(view: View, *, with_signs: bool) -> None:
    """A road between two pavements and two rows of houses and gardens."""
    canvas, die = view.canvas, view.die
    sky(view)
    skyline(view)
    grass, paving, asphalt = (
        canvas.ink(kind, die.pick(colours))
        for kind, colours in (("grass", LAWNS), ("pavement", PAVING), ("road", ASPHALT))
    )
    middle, half, paved = die.real(-1.5, 1.5), die.real(3.2, 5.5), die.real(2.0, 4.0)
    left, right = middle - half, middle + half
    below_horizon(view, grass)
    canvas.fill(view.strip(left - paved, right + paved, 1, 500), paving)
    canvas.fill(view.strip(left, right, 1, 500), asphalt)
    lanes(view, left, right)

    things: list[Placed] = []
    sunless = die.whole(3) - 1  # the side whose houses keep the sun away; 0 for none
    for side, kerb in ((-1, left), (1, right)):
        line = kerb + side * paved
        if side == sunless:
            reach = line - side * die.real(2, 9)
            canvas.shade(view.strip(min(line, reach), max(line, reach), 1, FAR))
        row_of_houses(view, line, in_shade=side == sunless)
        walk = kerb + side * paved / 2
        things += scatter(die, tree, 3, walk + side * 0.6, 0.3, (7, 40))
        things += scatter(die, person, 3, walk, paved / 2 - 0.4, (4.5, 22))
        if with_signs:
            things += scatter(die, sign, 2, walk - side * 0.8, 0.2, (4.5, 16))
        things += scatter(die, car_from_behind, 2, kerb - side * 1.1, 0.1, (6, 30))
        things += scatter(die, car_from_behind, 2, middle + side * half / 2, 0.4, (6.5, 35))
    if die.happens(0.3):
        things += scatter(die, person, 3, middle, half, (5, 16))
    if die.happens(0.25):
        things += scatter(die, car_from_the_side, 1, middle, half, (10, 22))
    view.stand(things)


def open_land(view: View) -> None:
    """Land, often before a lake or the sea, and things scattered over it."""
    canvas, die = view.canvas, view.die
    sky(view)
    if die.happens(0.3):
        skyline(view)
    hills(view)
    below_horizon(view, canvas.ink("land", die.pick(LAND)))
    shore = die.real(5, 14)
    lots: list[tuple[Thing, int, float, float]] = [
        *((animal, 4, 3.5, shore), (person, 3, 3.5, shore), (sign, 2, 3, shore)),
        *((bush, 3, 4, shore), (car_from_the_side, 1, 4.5, shore)),
    ]
    if die.happens(0.55):
        lake(view, shore)
        lots += [(boat, 4, 1.4 * shore + 1, 28)]
    else:
        lots += [(house, 2, 12, 30), (tree, 5, 8, 30)]
    things: list[Placed] = []
    for thing, most, near, far in lots:
        for depth, share, _ in scatter(die, thing, most, 0.5, 0.5, (near, far)):
            right = share * canvas.aspect - view.camera.vanishing  # all are seen, near and far
            things.append((depth, right * depth / LENS, thing))
    view.stand(things)


def scatter(
    die: Die, thing: Thing, most: int, middle: float, spread: float, depths: tuple[float, float]
) -> list[Placed]:
    """None to `most` of a thing around a line; near ones are as frequent as far ones look."""
    near, far = depths
    return [
        (1 / die.real(1 / far, 1 / near), die.real(middle - spread, middle + spread), thing)
        for _ in range(die.whole(most + 1))
    ]


def sky(view: View) -> None:
    """Bands from the zenith to a pale horizon, and clouds."""
    canvas, die, horizon = view.canvas, view.die, view.camera.horizon
    zenith, bands = die.pick(ZENITHS), 6
    for band in range(bands):
        ink = canvas.ink("sky", mixed(zenith, CLOUD, band / (2 * bands)))
        canvas.fill(canvas.box(0, horizon * band / bands, canvas.aspect, horizon), ink)
    cloud = canvas.ink("sky", mixed(zenith, CLOUD, 0.8))
    for _ in range(die.whole(4)):
        x, y = die.real(0, canvas.aspect), die.real(0, 0.8) * horizon
        for _ in range(3):
            size = die.real(0.04, 0.13)
            puff = canvas.ellipse(x + die.real(-0.12, 0.12), y, size, 0.35 * size)
            canvas.fill(puff, cloud)


def skyline(view: View) -> None:
    """Distant houses and woods along the horizon."""
    canvas, die, horizon = view.canvas, view.die, view.camera.horizon
    inks = [canvas.ink("building", mixed(die.pick(WALLS), CLOUD, 0.45)) for _ in range(3)]
    x = 0.0
    while x < canvas.aspect:
        width, height = die.real(0.04, 0.14), die.real(0.02, 0.13)
        canvas.fill(canvas.box(x, horizon - height, x + width, horizon), die.pick(inks))
        x += width
    hills(view)


def hills(view: View) -> None:
    """Distant woods: low bumps of leaves on the horizon."""
    canvas, die, horizon = view.canvas, view.die, view.camera.horizon
    ink = canvas.ink("plant", mixed(die.pick(LEAVES), CLOUD, 0.2))
    for _ in range(die.whole(6)):
        x, across, height = die.real(0, canvas.aspect), die.real(0.08, 0.4), die.real(0.02, 0.09)
        canvas.fill(canvas.ellipse(x, horizon, across, height), ink)


def below_horizon(view: View, ink: int) -> None:
    """The whole plane."""
    canvas = view.canvas
    canvas.fill(canvas.box(0, view.camera.horizon, canvas.aspect, 1), ink)


def lake(view: View, shore: float) -> None:
    """Water from somewhere beyond the shore, in metres, to the horizon, with bright ripples."""
    canvas, die, horizon, wide = view.canvas, view.die, view.camera.horizon, view.canvas.aspect
    colour = die.pick(WATER)
    water, ripple = (canvas.ink("water", mixed(colour, CLOUD, share)) for share in (0, 0.3))
    left, right = (view.ground(0, shore * die.real(1.0, 1.4))[1] for _ in range(2))
    corners = ((0, horizon), (wide, horizon), (wide, right), (0, left))
    canvas.fill(canvas.polygon(*corners), water)
    for _ in range(8):
        x, y, length = die.real(0, wide), die.real(horizon, min(left, right)), die.real(0.05, 0.3)
        canvas.fill(canvas.box(x, y, x + length, y + 0.08 * (y - horizon)), ripple)


def lanes(view: View, left: float, right: float) -> None:
    """Kerbs, a broken line, and now and then edge lines and a crossing."""
    canvas, die = view.canvas, view.die
    kerb, paint = canvas.ink("pavement", KERB), canvas.ink("road", PAINTED)
    for edge in (left - 0.25, right):
        canvas.fill(view.strip(edge, edge + 0.25, 1, FAR), kerb)
    start, middle = die.real(1, 6), (left + right) / 2
    marks = [(middle, start + 6 * n, start + 6 * n + 2.8) for n in range(8)]
    if die.happens(0.6):
        marks += [(left + 0.3, 1, FAR), (right - 0.3, 1, FAR)]
    for line, near, far in marks:
        canvas.fill(view.strip(line - 0.08, line + 0.08, near, far), paint)
    if die.happens(0.25):
        near = die.real(5, 11)
        for n in range(int(right - left)):
            bar = left + n + 0.3
            canvas.fill(view.strip(bar, bar + 0.5, near, near + 3), paint)


def row_of_houses(view: View, line: float, *, in_shade: bool) -> None:
    """Houses and gardens along a line beside the street, the farthest drawn first."""
    die = view.die
    lots, near = [], die.real(2, 6)
    while near < FAR:
        far = near + die.real(6, 15)
        lots.append((near, far))
        near = far
    for near, far in reversed(lots):
        if die.happens(0.7):
            facade(view, line, near, far, in_shade=in_shade)
        else:
            trees = scatter(die, tree, 3, line + math.copysign(3, line), 1, (near, far))
            view.stand(trees + scatter(die, bush, 4, line, 0.5, (near, far)))


def facade(view: View, line: float, near: float, far: float, *, in_shade: bool) -> None:
    """One house: the wall that faces us, and the wall along the street with its windows."""
    canvas, camera, die = view.canvas, view.camera, view.die
    colour, roof = die.pick(WALLS), die.pick(ROOFS)
    height, storey, bay = die.real(5, 15), die.real(2.6, 3.4), die.real(2.0, 3.6)
    x, bottom = view.ground(line, near)
    outer, _ = view.ground(line + math.copysign(9, line), near)
    inner, _ = view.ground(line, far)
    top = bottom - height * LENS / near
    end = canvas.box(min(x, outer), top, max(x, outer), bottom)
    canvas.fill(end, canvas.ink("building", mixed(colour, GLASS, 0.35)))

    rows, columns, _ = canvas.box(min(x, inner), top, max(x, inner), bottom)
    across, down = canvas.places(rows, columns)
    metre = (across - camera.vanishing) / line  # picture heights, growing towards us
    up = camera.eye - (down - camera.horizon) / metre
    wall = (up >= 0) & (up <= height)
    panes = (abs(up / storey % 1 - 0.55) < 0.24) & (abs(LENS / (metre * bay) % 1 - 0.5) < 0.26)
    canvas.fill((rows, columns, wall), canvas.ink("building", colour))
    canvas.fill((rows, columns, wall & panes), canvas.ink("building", GLASS))
    canvas.fill((rows, columns, wall & (up > height - 0.7)), canvas.ink("building", roof))
    if in_shade:
        canvas.shade((rows, columns, wall))


def person(brush: Brush, die: Die) -> None:
    """1.5 to 1.9 m tall, walking."""
    coat, trousers, skin, hair = (
        brush.canvas.ink("person", die.pick(colours)) for colours in (CLOTHES, TROUSERS, SKIN, FURS)
    )
    brush = brush.scaled(die.real(0.88, 1.1))
    stride, wide = die.real(0.06, 0.3), die.real(0.2, 0.27)
    brush.shadow(0.45)
    for foot in (-stride, stride):
        brush.polygon((-0.15, 0.9), (0.15, 0.9), (foot + 0.09, 0), (foot - 0.09, 0), ink=trousers)
    brush.polygon((-wide, 1.42), (wide, 1.42), (0.19, 0.75), (-0.19, 0.75), ink=coat)
    brush.ellipse(0, 1.62, 0.12, 0.15, hair)
    brush.ellipse(0, 1.57, 0.1, 0.12, skin)


def car_from_behind(brush: Brush, die: Die) -> None:
    """1.8 m wide, 1.45 m tall."""
    paint, glass, tyre, lamp = car_inks(brush, die)
    brush = brush.scaled(die.real(0.95, 1.15))
    brush.shadow(1.2)
    for wheel in (-0.78, 0.52):
        brush.box(wheel, 0, wheel + 0.26, 0.4, tyre)
    brush.polygon((-0.84, 0.98), (0.84, 0.98), (0.9, 0.24), (-0.9, 0.24), ink=paint)
    brush.polygon((-0.6, 1.46), (0.6, 1.46), (0.8, 0.9), (-0.8, 0.9), ink=paint)
    brush.polygon((-0.52, 1.36), (0.52, 1.36), (0.66, 0.98), (-0.66, 0.98), ink=glass)
    for light in (-0.86, 0.62):
        brush.box(light, 0.68, light + 0.24, 0.88, lamp)
    brush.box(-0.26, 0.42, 0.26, 0.56, glass)


def car_from_the_side(brush: Brush, die: Die) -> None:
    """4.2 m long, 1.45 m tall."""
    paint, glass, tyre, lamp = car_inks(brush, die)
    brush = brush.scaled(die.real(0.95, 1.15))
    brush.shadow(2.4)
    brush.polygon((-2.0, 0.92), (1.9, 0.85), (2.1, 0.28), (-2.1, 0.28), ink=paint)
    brush.polygon((-1.2, 1.45), (0.5, 1.45), (1.15, 0.86), (-1.75, 0.86), ink=paint)
    brush.polygon((-1.1, 1.36), (-0.35, 1.36), (-0.35, 0.9), (-1.45, 0.9), ink=glass)
    brush.polygon((-0.22, 1.36), (0.42, 1.36), (0.88, 0.9), (-0.22, 0.9), ink=glass)
    brush.box(-2.08, 0.6, -1.9, 0.8, lamp)
    for wheel in (-1.3, 1.3):
        brush.ellipse(wheel, 0.34, 0.36, 0.34, tyre)


def car_inks(brush: Brush, die: Die) -> tuple[int, int, int, int]:
    """Paint, glass, tyre and lamp."""
    ink = brush.canvas.ink
    return ink("car", die.pick(PAINTS)), ink("car", GLASS), ink("car", TYRE), ink("car", LAMP)


def tree(brush: Brush, die: Die) -> None:
    """4 to 9 m tall: a trunk under three heaps of leaves, lit from above."""
    leaves = die.pick(LEAVES)
    light, dark, bark = (
        brush.canvas.ink("plant", colour) for colour in (leaves, mixed(leaves, TYRE, 0.35), BARK)
    )
    brush = brush.scaled(die.real(0.6, 1.35))
    brush.shadow(1.8)
    brush.box(-0.16, 0, 0.16, 3.2, bark)
    heaps = [(die.real(-0.9, 0.9), die.real(3.4, 5.2), die.real(1.1, 1.7)) for _ in range(3)]
    for ink, shift, size in ((dark, 0.0, 1.0), (light, 0.3, 0.72)):
        for right, up, across in heaps:
            brush.ellipse(right, up + shift, size * across, 0.85 * size * across, ink)


def bush(brush: Brush, die: Die) -> None:
    """About 1 m tall."""
    leaves = die.pick(LEAVES)
    brush = brush.scaled(die.real(0.6, 1.4))
    brush.shadow(0.9)
    brush.ellipse(0, 0.4, 0.95, 0.55, brush.canvas.ink("plant", mixed(leaves, TYRE, 0.3)))
    brush.ellipse(die.real(-0.2, 0.2), 0.55, 0.7, 0.4, brush.canvas.ink("plant", leaves))


def sign(brush: Brush, die: Die) -> None:
    """A round, square or three-cornered plate on a pole, 2.6 m tall."""
    pole, rim, face = (
        brush.canvas.ink("sign", colour) for colour in (ROOFS[1], die.pick(PLATES), PAINTED)
    )
    shape, size = die.whole(3), die.real(0.34, 0.5)
    brush.box(-0.05, 0, 0.05, 2.2, pole)
    for ink, r in ((rim, size), (face, 0.6 * size)):
        if shape == 0:
            brush.ellipse(0, 2.25, r, r, ink)
        elif shape == 1:
            brush.box(-r, 2.25 - r, r, 2.25 + r, ink)
        else:
            brush.polygon((0, 2.25 + 1.1 * r), (1.1 * r, 2.25 - r), (-1.1 * r, 2.25 - r), ink=ink)


def animal(brush: Brush, die: Die) -> None:
    """Four legs, 0.7 to 1.7 m tall, looking left or right; some are spotted."""
    fur = die.pick(FURS)
    coat, dark = (brush.canvas.ink("animal", colour) for colour in (fur, mixed(fur, TYRE, 0.4)))
    brush, ahead = brush.scaled(die.real(0.7, 1.6)), die.pick((-1, 1))
    brush.shadow(0.9)
    for leg, ink in ((-0.5, dark), (-0.34, coat), (0.3, dark), (0.46, coat)):
        brush.box(leg - 0.06, 0, leg + 0.06, 0.55, ink)
    brush.ellipse(0, 0.65, 0.68, 0.24, coat)
    neck = ((0.4, 0.8), (0.62, 1.0), (0.82, 0.92), (0.58, 0.6))
    brush.polygon(*((ahead * right, up) for right, up in neck), ink=coat)
    brush.ellipse(ahead * 0.82, 0.94, 0.2, 0.11, coat)
    brush.ellipse(ahead * 0.68, 1.05, 0.05, 0.09, dark)
    brush.polygon((-ahead * 0.62, 0.76), (-ahead * 0.82, 0.4), (-ahead * 0.72, 0.4), ink=dark)
    if die.happens(0.5):
        brush.ellipse(die.real(-0.3, 0.1), 0.7, 0.2, 0.13, dark)


def boat(brush: Brush, die: Die) -> None:
    """A hull 5 m long with a sail or a cabin."""
    hull, cloth, dark = (
        brush.canvas.ink("boat", colour) for colour in (die.pick(HULLS), PAINTED, GLASS)
    )
    brush, ahead = brush.scaled(die.real(0.8, 1.5)), die.pick((-1, 1))
    brush.shadow(2.6)
    if die.happens(0.5):
        brush.box(-0.06, 0.6, 0.06, 5.0, dark)
        brush.polygon((ahead * 0.15, 4.8), (ahead * 2.1, 1.1), (ahead * 0.15, 1.1), ink=cloth)
        brush.polygon((-ahead * 0.15, 4.2), (-ahead * 0.15, 1.1), (-ahead * 1.3, 1.1), ink=cloth)
    else:
        brush.box(-1.2, 0.7, 0.9, 1.9, cloth)
        brush.box(-0.9, 1.2, 0.6, 1.6, dark)
    brush.polygon((-2.4, 0.95), (2.4, 0.95), (1.7, 0), (-1.9, 0), ink=hull)
    brush.box(-2.3, 0.72, 2.3, 0.84, dark)


def house(brush: Brush, die: Die) -> None:
    """7 m wide under a gable, with a door and two windows."""
    wall, roof, glass = (
        brush.canvas.ink("building", colour) for colour in (die.pick(WALLS), die.pick(ROOFS), GLASS)
    )
    brush = brush.scaled(die.real(0.8, 1.6))
    brush.shadow(4)
    brush.box(-3.5, 0, 3.5, 3.2, wall)
    brush.polygon((0, 5.6), (4.0, 3.1), (-4.0, 3.1), ink=roof)
    brush.box(-0.5, 0, 0.5, 2.1, glass)
    for window in (-2.6, 1.4):
        brush.box(window, 1.1, window + 1.2, 2.3, glass)


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """A colour with a share of another in it."""
    r, g, b = (math.floor(a + share * (c - a)) for a, c in zip(colour, other, strict=True))
    return r, g, b
