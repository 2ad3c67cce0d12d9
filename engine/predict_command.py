"""`python -m engine predict`: masks or classes of your own pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from engine.runs.folder import Workspace

screen = Console(stderr=True)


def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The id of a run or its beginning, or a .safetensors file it left."
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Pictures, or folders of them: PNG, JPEG or WebP of any size."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is missing.")],
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay",
            help="Also write each picture with its answer: the mask over it and the classes below,"
            " or the likeliest classes below. At most 2,048 pixels wide and high.",
        ),
    ] = False,
    weights: Annotated[str, typer.Option(help="Of a run: last (as if not given) or best.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there already.")
    ] = False,
    workspace: Annotated[
        Path | None, typer.Option("--workspace", help="Else DISTILL_WORKSPACE, else ./workspace.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Write what a trained net says of pictures: masks of segmenters, classes of classifiers.

    A segmenter gives NAME_mask.png, of the picture's own size as it is seen (the camera's EXIF
    rotation is applied): a palette PNG whose values are the classes, counted from 0. A classifier
    gives predictions.csv with the five likeliest classes of every picture.

    A picture is scaled to cover the net's width and height and cut to them, and normalised, as in
    the evaluation of the run. What a segmenter would not see then is seen in further views to its
    sides. Its logits are resized to the picture bilinearly. The net runs in float32.

    A picture that cannot be used is named, the others go on, and the exit status is 1.
    """
    from engine.assembly import usable_device
    from engine.jobs.predict import described, gathered, predictions
    from engine.jobs.predictor import predictor_of

    found = predictor_of(
        run, weights=weights, workspace=Workspace.open(workspace), device=usable_device(device)
    )
    told = predictions(found, images, out, with_overlay=overlay, may_replace=overwrite)
    answer = described(found, out) | gathered(_shown(told), out)
    count = len(answer["pictures"])
    screen.print(f"{count} picture{'' if count == 1 else 's'} in {out}", highlight=False)
    if answer["failed"]:
        table = Table("cannot be used", "why")
        for one in answer["failed"]:
            table.add_row(one["file"], one["why"])
        screen.print(table)
    if as_json:
        print(json.dumps(answer))
    if answer["failed"]:
        raise typer.Exit(1)


def _shown(told: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same, with the number of the picture on the screen while they are made."""
    with screen.status("The first picture ...") as line:
        for number, one in enumerate(told, start=1):
            line.update(f"{number} done, {one['file']}")
            yield one
