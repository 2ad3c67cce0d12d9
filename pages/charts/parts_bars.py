"""The two parts of a student in bars: how alike, how often right, how many directions count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pages.charts.colour import Figure, Palette, layout
from pages.charts.words import percent

Owner = Literal["features", "codes", "alone", "kd"]
Figures = Mapping[str, Mapping[str, float]]  # inherit, explore, both -> accuracy, agreement; 0 to 1

LITTLE = 0.02  # of the images: below it a part adds nothing that could be told from chance
PARTS = {"inherit": "inherits", "explore": "explores"}


class Likeness(NamedTuple):
    """Linear CKA of one student; values as in `teacher, inherit` -> 0 to 1, or None."""

    label: str
    owner: Owner
    values: Mapping[str, float | None]


def likeness_figure(told: Sequence[Likeness], other: str, colours: Palette) -> Figure:
    """CKA of each two of the other net's map and the parts; a bar a student.

    Args:
        other: what the other net is called.
    """
    looks = {
        "features": (colours.taught, ""),
        "codes": (colours.taught, "/"),
        "alone": (colours.alone, "x"),
        "kd": (colours.others[2], "."),
    }
    pairs = ("teacher, inherit", "teacher, explore", "inherit, explore")
    data = [
        _bars(one.label, [one.values.get(pair) for pair in pairs], *looks[one.owner])
        for one in told
    ]
    for trace in data:
        short = ["" if value is None else f"{value:.2f}".lstrip("0") for value in trace["y"]]
        trace |= {"text": short, "textfont": {"size": 11}, "hovertemplate": "%{y:.3f}"}
    shared = _grouped(colours, [_pair(pair, other) for pair in pairs], "Linear CKA")
    shared["yaxis"]["range"] = [0, 1.1]
    return {"data": data, "layout": shared}


def likeness_words(told: Sequence[Likeness], other: str) -> str:
    """The numbers of the figure, for those who do not see it."""
    said = []
    for one in told:
        values = ", ".join(
            f"{_pair(pair, other, ' and ')} {value:.2f}"
            for pair, value in one.values.items()
            if value is not None
        )
        said.append(f"{one.label}: {values}")
    return f"Linear CKA. {'; '.join(said)}."


def answers_figure(figures: Figures, other: str, colours: Palette) -> Figure:
    """Accuracy of each part alone and of both, beside how often they say what the other says."""
    looks = {
        "accuracy": ("right", colours.taught, ""),
        "agreement": (f"says what the {other} says", colours.teacher, "/"),
    }
    data = []
    for figure, (label, colour, pattern) in looks.items():
        shares = [100 * told[figure] for told in figures.values()]
        trace = _bars(label, shares, colour, pattern)
        data.append({**trace, "texttemplate": "%{y:.0f}", "hovertemplate": "%{y:.1f} %"})
    names = {"inherit": "inherits<br>alone", "explore": "explores<br>alone", "both": "both"}
    shared = _grouped(colours, [names[name] for name in figures], "Images (%)")
    shared["yaxis"]["range"] = [0, 110]
    return {"data": data, "layout": shared}


def guesses(figures: Figures, part: str, num_classes: int) -> bool:
    """Whether a part is by itself about as often right as chance."""
    return figures[part]["accuracy"] < 1.5 / num_classes


def answers_sentence(figures: Figures, num_classes: int) -> str:
    """What the bars say."""
    right = {name: told["accuracy"] for name, told in figures.items()}
    said = [
        f"The part that {verb} is by itself no better than guessing."
        for part, verb in PARTS.items()
        if guesses(figures, part, num_classes)
    ]
    best = max(PARTS, key=right.__getitem__)
    gain = right["both"] - right[best]
    if gain < LITTLE:
        rest = "explores" if best == "inherit" else "inherits"
        said.append(
            f"The part that {rest} adds little: both are right on {percent(right['both'])} of the"
            f" images, the part that {PARTS[best]} alone on {percent(right[best])}."
        )
    elif not said:
        said.append(
            f"Both are right on {percent(right['both'])} of the images, the better part alone on"
            f" {percent(right[best])}: each knows something that the other does not."
        )
    return " ".join(said)


def neurons_words(counts: Mapping[str, Sequence[int]], other: str) -> str:
    """The numbers of the figure, for those who do not see it."""
    names = {"teacher": f"the {other}", "inherit": "what inherits", "explore": "what explores"}
    told = (f"{names[name]} {', '.join(map(str, found))}" for name, found in counts.items())
    return f"Directions that hold 99, 95 and 90 % of the gradients' energy: {'; '.join(told)}."


def neurons_figure(
    counts: Mapping[str, Sequence[int]], left_out: Sequence[float], other: str, colours: Palette
) -> Figure:
    """Directions that hold all but a share of the gradients' energy, for each share.

    Args:
        counts: teacher, inherit, explore -> one count for each share.
    """
    looks = {
        "teacher": (other, colours.teacher, ""),
        "inherit": ("inherits", colours.others[0], "/"),
        "explore": ("explores", colours.others[1], "x"),
    }
    data = []
    for name, (label, colour, pattern) in looks.items():
        trace = _bars(label, counts[name], colour, pattern)
        data.append({**trace, "texttemplate": "%{y}", "hovertemplate": "%{y} directions"})
    columns = [f"{percent(1 - share, 0)} held" for share in left_out]
    shared = _grouped(colours, columns, "Directions")
    shared["yaxis"] |= {"range": [0, 1.15 * max(map(max, counts.values()), default=1) + 1]}
    return {"data": data, "layout": shared}


def _pair(pair: str, other: str, between: str = "<br>") -> str:
    first, _, second = pair.partition(", ")
    return f"{PARTS.get(first, other)}{between}{PARTS[second]}"


def _bars(label: str, values: Sequence[float | None], colour: str, pattern: str) -> dict[str, Any]:
    marker = {"color": colour, "pattern": {"shape": pattern, "size": 6, "fillmode": "overlay"}}
    return {
        "type": "bar",
        "name": label,
        "y": list(values),
        "textposition": "outside",
        "cliponaxis": False,
        "marker": marker,
    }


def _grouped(colours: Palette, columns: Sequence[str], title: str) -> dict[str, Any]:
    shared = layout(colours, height=320, y=title)
    shared["barmode"] = "group"
    shared["xaxis"] |= {
        "tickvals": list(range(len(columns))),
        "ticktext": list(columns),
        "showgrid": False,
        "fixedrange": True,
    }
    shared["yaxis"]["fixedrange"] = True
    return shared
