"""Images with what the nets say of them, as HTML; every name in it is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from engine.api import Answers, Said
from pages.charts.colour import Palette

CSS = """
.answer-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr));
  gap: 0.75rem; color: var(--st-text-color); font-family: var(--st-font); font-size: 14px;
  line-height: 1.35; }
.answer-cards .card { display: block; box-sizing: border-box; width: 100%; margin: 0;
  padding: 0.6rem; text-align: left; font: inherit; color: inherit; background: transparent;
  border: 1px solid var(--st-border-color); border-radius: 8px; overflow: hidden; }
.answer-cards button.card { cursor: zoom-in; }
.answer-cards button.card:hover, .answer-cards button.card:focus-visible
  { border-color: var(--st-primary-color); outline: 1px solid var(--st-primary-color); }
.answer-cards .head { display: flex; gap: 0.6rem; align-items: flex-start; }
.answer-cards .head > div { min-width: 0; overflow-wrap: anywhere; }
.answer-cards img { width: 96px; height: 96px; object-fit: contain; border-radius: 4px;
  flex: none; background: var(--st-secondary-background-color); }
.answer-cards .large { grid-column: 1 / -1; }
.answer-cards .large img { width: auto; height: auto; max-width: 100%; }
.answer-cards .large .head { flex-wrap: wrap; }
.answer-cards img.tiny { image-rendering: pixelated; }
.answer-cards .loss { margin-top: 0.35rem; font-size: 13px; }
.answer-cards .who { font-weight: 600; margin: 0.5rem 0 0.15rem; }
.answer-cards .sides { display: grid; gap: 0 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.answer-cards .bars { display: grid; grid-template-columns: minmax(0, 7.5em) 1fr auto;
  gap: 2px 0.5rem; align-items: center; margin-top: 0.45rem; font-size: 13px; }
.answer-cards .name { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.answer-cards .true { font-weight: 700; }
.answer-cards .track { height: 9px; border-radius: 3px;
  background: var(--st-secondary-background-color); overflow: hidden; }
.answer-cards .track i { display: block; height: 100%; min-width: 1px; }
.answer-cards .value { text-align: right; font-variant-numeric: tabular-nums; }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """How likely a net finds one class, 0 to 1."""

    name: str
    share: float
    is_true: bool = False


def top_bars(said: Said, row: int, names: Sequence[str], truth: int) -> list[Bar]:
    """The likeliest classes of one image, the likeliest first."""
    pairs = zip(said.top[row].tolist(), said.probability[row].tolist(), strict=True)
    return [Bar(names[label], share, label == truth) for label, share in pairs]


def bars_html(bars: Sequence[Bar], colour: str) -> str:
    """One line a class; the true one is bold and has a tick."""
    lines = []
    for bar in bars:
        name = escape(bar.name)
        mark, kind = ("✓ ", " true") if bar.is_true else ("", "")
        lines.append(
            f'<span class="name{kind}" title="{name}">{mark}{name}</span>'
            f'<span class="track"><i style="width:{100 * bar.share:.1f}%;background:{colour}"></i>'
            f'</span><span class="value">{share_words(bar.share)}</span>'
        )
    return f'<div class="bars">{"".join(lines)}</div>'


def share_words(share: float) -> str:
    """In per cent, without pretending that a small share is none, or a large one all."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if 0.999 < share < 1 else f"{100 * share:.1f} %"


def card_html(found: Answers, row: int, image: str, colours: Palette) -> str:
    """An image with its truth, both answers and the student's likeliest classes; a button.

    Args:
        image: its address.
    """
    truth = int(found.truth[row])
    bars = top_bars(found.student, row, found.classes, truth)
    lines = "".join(f"<div>{line}</div>" for line in _lines(found, row))
    return (
        f'<button class="card" data-row="{row}" title="Open it larger"'
        f' aria-label="{escape(told(found, row))}. Open it larger">'
        f'<div class="head"><img class="tiny" alt="" src="{escape(image)}">'
        f"<div><b>{escape(found.classes[truth])}</b>{lines}</div></div>"
        f"{bars_html(bars, student_colour(found, colours))}</button>"
    )


def large_html(found: Answers, row: int, image: str, colours: Palette) -> str:
    """The same, large, with the likeliest classes of both nets beside each other."""
    truth = int(found.truth[row])
    sides = [_side("Student", found.student, found, row, student_colour(found, colours))]
    if found.teacher is not None:
        sides.append(_side("Teacher", found.teacher, found, row, colours.teacher))
    return (
        f'<div class="large"><div class="head"><img class="tiny" alt="{escape(told(found, row))}"'
        f' src="{escape(image)}"></div>'
        f'<div class="who">Truth: {escape(found.classes[truth])}</div>'
        f'<div class="sides">{"".join(sides)}</div></div>'
    )


def own_html(
    name: str, image: str, said: Mapping[str, Sequence[Bar]], colours: Palette, *, has_teacher: bool
) -> str:
    """A person's own picture with the likeliest classes of each net."""
    shades = {
        "student": colours.taught if has_teacher else colours.alone,
        "teacher": colours.teacher,
    }
    sides = "".join(
        f'<div><div class="who">{who.capitalize()}: {escape(bars[0].name)}</div>'
        f"{bars_html(bars, shades[who])}</div>"
        for who, bars in said.items()
    )
    return (
        f'<div class="card"><div class="head"><img class="tiny" alt="{escape(name)}, as the nets'
        f' see it" src="{escape(image)}"><div>{escape(name)}</div></div>{sides}</div>'
    )


def told(found: Answers, row: int) -> str:
    """One image in a sentence without its end, for those who cannot see it."""
    sides = [("student", found.student), ("teacher", found.teacher)]
    said = [
        f"the {who} says {found.classes[one.answer[row]]}, {share_words(one.probability[row, 0])}"
        for who, one in sides
        if one is not None
    ]
    return (
        f"{found.split.capitalize()} image {row}, {found.classes[found.truth[row]]}: "
        + "; ".join(said)
    )


def student_colour(found: Answers, colours: Palette) -> str:
    return colours.alone if found.teacher is None else colours.taught


def _lines(found: Answers, row: int) -> list[str]:
    sides = [("Student", found.student), ("Teacher", found.teacher)]
    return [
        f"{_mark(one, found, row)} {who}: {escape(found.classes[one.answer[row]])}"
        for who, one in sides
        if one is not None
    ]


def _side(who: str, said: Said, found: Answers, row: int, colour: str) -> str:
    bars = top_bars(said, row, found.classes, int(found.truth[row]))
    loss = f"loss {said.loss[row]:.2f} nats"
    return (
        f'<div><div class="who">{_mark(said, found, row)} {who}: {escape(bars[0].name)}</div>'
        f'{bars_html(bars, colour)}<div class="loss">{loss}</div></div>'
    )


def _mark(said: Said, found: Answers, row: int) -> str:
    return "✓" if said.answer[row] == found.truth[row] else "✗"
