"""What the figure that stands for the nets of a run is called, and how people say it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pages.charts.words import percent


@dataclass(frozen=True, slots=True)
class Headline:
    """Words for one figure, a share from 0 to 1.

    name:     in the engine's figures
    short:    for a narrow place
    title:    for a heading
    heading:  of its curve over training
    meaning:  what it is, in a sentence
    has:      `gets {} right`: what a net does, {} being the figure
    has_alone, of_split: the same once the figure was named, and the images that it is about
    """

    name: str
    short: str
    title: str
    heading: str
    meaning: str
    has: str
    has_alone: str
    of_split: str

    def told(self, share: float) -> str:
        """As in `gets 61.2 % right`."""
        return self.has.format(percent(share))

    def told_again(self, share: float) -> str:
        """As in `gets 61.2 %`."""
        return self.has_alone.format(percent(share))

    def told_of(self, share: float, split: str) -> str:
        """As in `gets 61.2 % of the test images right`."""
        return self.of_split.format(percent(share), split)


HEADLINES = {
    one.name: one
    for one in (
        Headline(
            name="accuracy",
            short="Accuracy",
            title="Accuracy",
            heading="How many images the nets get right",
            meaning="Share of images whose class the net names.",
            has="gets {} right",
            has_alone="gets {}",
            of_split="gets {} of the {} images right",
        ),
        Headline(
            name="miou",
            short="mIoU",
            title="Mean overlap (mIoU)",
            heading="How well the nets' areas cover the true ones: mean overlap (mIoU)",
            meaning="Of each class the area where prediction and truth agree, as a share of the"
            " area that either of them gives to the class; then the mean over the classes."
            " Pixels that the truth leaves open do not count.",
            has="reaches a mean overlap (mIoU) of {}",
            has_alone="reaches {}",
            of_split="reaches a mean overlap (mIoU) of {} on the {} images",
        ),
    )
}
ACCURACY, MIOU = HEADLINES["accuracy"], HEADLINES["miou"]


def headline_of(name: str) -> Headline:
    """The words for a figure."""
    return HEADLINES.get(name, ACCURACY)


def short_of(names: Iterable[str]) -> str:
    """What to call figures of several runs: `Accuracy`, `mIoU` or both."""
    found = {headline_of(name).short for name in names} or {ACCURACY.short}
    return " or ".join(one.short for one in HEADLINES.values() if one.short in found)
