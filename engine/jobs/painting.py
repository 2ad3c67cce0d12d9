"""Masks and answers as pictures that a person can look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from engine.class_colours import RGB, tinted

Labels = NDArray[np.uint8]

LARGEST = 2048  # pixels of an overlay's longer side; larger pictures are made smaller
NARROWEST = 320  # pixels; smaller pictures are enlarged, so that words fit below them
LINE, SWATCH, MARGIN = 22, 14, 8  # pixels of a legend
INK, PAPER, BAR = (31, 41, 51), (255, 255, 255), (66, 146, 198)


def index_png(mask: Labels, palette: Sequence[RGB]) -> Image.Image:
    """(H, W) uint8 classes -> a picture of indices, shown in the classes' colours."""
    image = Image.fromarray(mask)
    image.putpalette([tone for colour in palette for tone in colour])
    return image


def overlay(
    image: Image.Image,
    mask: Labels,
    names: Sequence[str],
    palette: Sequence[RGB],
) -> Image.Image:
    """The picture with its mask over it, and a legend below.

    Args:
        image: in RGB, of the mask's width and height.
        mask: (H, W) uint8 classes.
    """
    size = _shown_size(image.size)
    shown = image.resize(size, Image.Resampling.BILINEAR)
    labels = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    painted = tinted(np.asarray(shown), labels, palette)
    present, counts = np.unique(mask, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    lines = [(int(present[row]), counts[row] / mask.size) for row in order]
    legend = [(f"{names[label]}  {share:.1%}", palette[label], 0.0) for label, share in lines]
    return _with_lines(Image.fromarray(painted), legend)


def captioned(image: Image.Image, ranked: Sequence[tuple[str, float]]) -> Image.Image:
    """The picture, in RGB, with its likeliest classes, their probabilities and bars below."""
    size = _shown_size(image.size)
    is_tiny = size[0] > image.width
    how = Image.Resampling.NEAREST if is_tiny else Image.Resampling.BILINEAR
    lines = [(f"{name}  {share:.1%}", BAR, share) for name, share in ranked]
    return _with_lines(image.resize(size, how), lines)


def _shown_size(size: tuple[int, int]) -> tuple[int, int]:
    """Small pictures by whole pixels, so that they stay sharp."""
    longest = max(size)
    if longest > LARGEST:
        return max(1, size[0] * LARGEST // longest), max(1, size[1] * LARGEST // longest)
    times = max(1, min(-(-NARROWEST // size[0]), LARGEST // longest))
    return size[0] * times, size[1] * times


def _with_lines(image: Image.Image, lines: Sequence[tuple[str, RGB, float]]) -> Image.Image:
    """The picture above lines of text, each with a colour and a bar from 0 to 1.

    The lines stand in as many columns as the picture is wide enough for.
    """
    font = ImageFont.load_default(size=SWATCH)
    widest = max((font.getlength(text) for text, *_ in lines), default=0.0)
    cell = int(widest) + SWATCH + 3 * MARGIN
    width = max(image.width, cell)
    has_bars = any(bar for *_, bar in lines)
    columns = 1 if has_bars else max(1, width // cell)
    rows = -(-len(lines) // columns)
    canvas = Image.new("RGB", (width, image.height + 2 * MARGIN + rows * LINE), PAPER)
    canvas.paste(image, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for place, (text, colour, bar) in enumerate(lines):
        x = MARGIN + place % columns * cell
        y = image.height + MARGIN + place // columns * LINE
        if has_bars:
            length = round(bar * (width - 2 * MARGIN))
            pen.rectangle((x, y + LINE - 5, x + max(1, length), y + LINE - 3), fill=colour)
        else:
            pen.rectangle((x, y + 3, x + SWATCH, y + 3 + SWATCH), fill=colour, outline=INK)
        shift = 0 if has_bars else SWATCH + MARGIN
        pen.text((x + shift, y + 1), text, fill=INK, font=font)
    return canvas
