"""python -m engine: the same door as the dashboard's, for a terminal.

With --json the last line on stdout is one JSON object; what a person reads goes to stderr.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from engine.api.plans import PRESETS, named_preset, plan_preset
from engine.errors import DistillError, SpecError, WorkspaceError, in_sentences
from engine.predict_command import predict
from engine.runs.diff import diff_runs
from engine.runs.executors.process import TUNED, ProcessExecutor
from engine.runs.experiment import Experiment, create_experiment, expand, figures
from engine.runs.folder import RunFolder, Workspace
from engine.runs.presets import Preset, load_presets, read_presets
from engine.runs.queue import RunQueue, mark_queued
from engine.runs.summary import summaries, summary_of_run
from engine.runs.view import RunView, fold
from engine.spec import Choice, NetChoice, parse_yaml, read_spec, set_path

POLL_SECONDS = 0.2
_HEADLINES = {"accuracy": "right", "miou": "mean IoU"}
_ITSELF = (sys.executable, "-m", "engine")
PACKAGES = ("torch", "torchvision", "streamlit", "plotly", "fvcore", "numpy", "pydantic")

app = typer.Typer(
    help="Distil a large net into a small one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
teacher_app = typer.Typer(help="Teachers.", no_args_is_help=True)
app.add_typer(teacher_app, name="teacher")
bench_app = typer.Typer(help="Measurements.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")

app.command()(predict)

screen = Console(stderr=True)

WorkspaceOption = Annotated[
    Path | None, typer.Option("--workspace", help="Else DISTILL_WORKSPACE, else ./workspace.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="End with one JSON object.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, as in schedule.epochs=3.")
]


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit status 2."""
    try:
        app(standalone_mode=True)
    except DistillError as error:
        screen.print(f"[bold red]Error:[/] {error}", highlight=False)
        if "--json" in sys.argv:
            print(json.dumps({"error": error.message, "hint": error.hint, "where": error.where}))
        sys.exit(2)


@app.command("list")
def list_parts(
    kind: Annotated[
        str, typer.Argument(help="nets, datasets, distillers, methods, policies or presets")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what can be chosen."""
    from engine.jobs import catalogue

    found: dict[str, Any] = catalogue()
    found["presets"] = [preset.model_dump(mode="json") for preset in load_presets(PRESETS)]
    if kind and kind not in found:
        raise SpecError(f"there is no list {kind!r}; there are: {', '.join(found)}")
    shown = {kind: found[kind]} if kind else found
    for name, entries in shown.items():
        table = Table("name", "title", "source", title=name)
        for entry in entries:
            table.add_row(entry["name"], entry["title"], entry["source"])
        screen.print(table)
    if as_json:
        print(json.dumps(shown))


@app.command()
def run(
    spec: Annotated[
        str,
        typer.Argument(
            help="A YAML or JSON file of a run or an experiment, or the name of a preset."
        ),
    ],
    settings: SetOption = None,
    name: Annotated[str, typer.Option(help="What the run is called.")] = "",
    queue: Annotated[
        bool, typer.Option("--queue", help="Leave it to the dashboard's engine and return.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train, and watch it here; the dashboard of the workspace shows it too."""
    begun = time.monotonic()
    place = Workspace.open(workspace)
    make = _plan(spec, _settings(settings), name)
    executor = ProcessExecutor(place)
    if not queue:
        executor.warm()  # it imports torch while we do
    try:
        experiment = make(place, not queue)
    except BaseException:
        executor.close()
        raise
    if queue:
        ids = [member.run for member in experiment.runs]
        screen.print("Queued:", *ids)
        if as_json:
            print(json.dumps({"runs": ids, "status": "queued"}))
        return
    status = _drive(place, executor, [place.run(member.run) for member in experiment.runs])
    answer = {
        "run": experiment.runs[-1].run,
        "runs": [member.run for member in experiment.runs],
        "status": status,
        "figures": figures(place, experiment),
        "seconds": round(time.monotonic() - begun, 1),
    }
    _report(place, experiment)
    if as_json:
        print(json.dumps(answer))
    if status != "finished":
        raise typer.Exit(1)


@app.command()
def resume(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was stopped, interrupted or has failed."""
    place = Workspace.open(workspace)
    folder = place.run(run_id)
    status = _drive(place, ProcessExecutor(place), [folder])
    if as_json:
        print(json.dumps({"run": run_id, "status": status}))
    if status != "finished":
        raise typer.Exit(1)


@app.command()
def status(
    run_id: Annotated[str, typer.Argument(metavar="[RUN]")] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all runs, or one."""
    place = Workspace.open(workspace)
    rows = [summary_of_run(place.run(run_id))] if run_id else [*summaries(place)]
    table = Table("run", "name", "status", "done", "test", "message")
    for row in rows:
        tested = row.figures.last_test
        shown = "" if tested is None else f"{tested:.1%}"
        table.add_row(row.id, row.name, row.status, f"{row.progress:.0%}", shown, row.message)
    screen.print(table)
    if as_json:
        plain = [row.model_dump(mode="json") for row in rows]
        print(json.dumps(plain[0] if run_id else {"runs": plain}))


@app.command()
def cost(
    net: str,
    size: Annotated[str, typer.Option("--input", help="Channels x height x width.")] = "3x32x32",
    classes: Annotated[int, typer.Option(min=1, help="Classes told apart.")] = 100,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count parameters and multiply-adds, and time one image."""
    import torch

    from engine.measures.cost import measure_cost
    from engine.nets import NETS, build_net

    shape = _input_shape(size)
    entry = NETS[net]
    knobs = entry.check(_settings(settings))
    torch.set_num_threads(1)
    built = build_net(entry.name, knobs, num_classes=classes, input_shape=shape, seed=0)
    found = measure_cost(built, role="", name=entry.name, device=torch.device("cpu"))
    table = Table("stage", "parameters", "multiply-adds", title=f"{entry.title}, {size}")
    for stage, counts in found.stages.items():
        table.add_row(stage, f"{counts['parameters']:,}", f"{counts['multiply_adds']:,}")
    table.add_row("all", f"{found.parameters:,}", f"{found.multiply_adds:,}", style="bold")
    screen.print(table)
    screen.print(f"fvcore, with normalisation and pooling: {found.fvcore_multiply_adds:,}")
    screen.print(f"not counted: {dict(found.uncounted)}")
    screen.print(f"one image: {found.latency * 1e3:.2f} ms, 1 thread; {found.file_bytes:,} bytes")
    if as_json:
        print(found.model_dump_json())


@teacher_app.command("check")
def teacher_check(
    file: Path,
    net: Annotated[str, typer.Option(help="A registered net.")],
    data: Annotated[str, typer.Option(help="A data set, or a folder below DISTILL_DATA.")],
    data_settings: Annotated[
        list[str] | None, typer.Option("--data-set", help="A knob of the data set: size=64")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Report how weights fit a net, and measure its accuracy."""
    from engine.jobs import teacher_report

    teacher = NetChoice(name=net, weights=str(file))
    choice = Choice(name=data, knobs=_settings(data_settings))
    found = teacher_report(teacher, choice, 0)
    report = found["report"]
    table = Table("status", "in the net", "in the file", "shape")
    for row in report["rows"]:
        table.add_row(row["status"], row["key"], row["stored"], str(tuple(row["shape"])))
    screen.print(table)
    screen.print({name: value for name, value in report.items() if name != "rows"})
    screen.print(f"net: {found['net']['name']} {found['net']['knobs'] or ''}")
    for figure, word in (("accuracy", "accuracy"), ("miou", "mean IoU")):
        if figure in found["figures"]:
            value, images = found["figures"][figure], f"{found['samples']} images"
            screen.print(f"{word}: {value:.2%} of {images} ({found['split']})")
    if not found["figures"]:
        screen.print(f"knows {len(found['classes'])} other classes; not measured")
    if as_json:
        print(json.dumps(found))


@bench_app.command("step")
def bench_step(
    teacher: Annotated[str, typer.Option(help="A net.")] = "resnet32x4",
    student: Annotated[str, typer.Option(help="A net.")] = "resnet8x4",
    distillers: Annotated[str, typer.Option(help="Names with commas between.")] = "kd,crd,at",
    precisions: Annotated[str, typer.Option(help="float32, bfloat16")] = "float32,bfloat16",
    rounds: Annotated[int, typer.Option(min=1, help="Medians are over so many.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Time a training step: the bare loop, ordinary and spot-adaptive distillation."""
    if not TUNED.items() <= os.environ.items():  # as workers are started
        os.execve(sys.executable, [*_ITSELF, *sys.argv[1:]], {**os.environ, **TUNED})
    import torch

    from engine.step_bench import bench_steps

    torch.set_num_threads(threads)
    pairs: list[dict[str, Any]] = []
    for precision in precisions.split(","):
        pairs += bench_steps(
            teacher,
            student,
            distillers.split(","),
            precision=precision,
            device=device,
            rounds=rounds,
        )
    shown = [name for name in pairs[0] if name not in ("teacher", "student")]
    table = Table(
        *(name.replace("_over_", " / ") for name in shown),
        title=f"{teacher} to {student}, {device}, {threads} threads, medians of {rounds}",
    )
    for row in pairs:
        values = (row[name] for name in shown)
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else v for v in values))
    screen.print(table)
    if as_json:
        print(json.dumps({"pairs": pairs}))


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="RUN")],
    second: Annotated[str, typer.Argument(metavar="RUN")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what two runs found out, and their last weights, bit for bit."""
    from engine.training.checkpoint import differing_weights

    place = Workspace.open(workspace)
    a, b = place.run(first), place.run(second)
    found = diff_runs(
        a, b, lambda one, other: differing_weights(one.checkpoints, other.checkpoints)
    )
    for line in found.spec:
        screen.print(f"setting  {line}", highlight=False)
    screen.print(f"results  {found.results or 'equal'}", highlight=False)
    screen.print(f"weights  {found.weights or 'equal'}", highlight=False)
    if as_json:
        answer = {"equal": found.is_equal, "results": found.results, "weights": found.weights}
        print(json.dumps({**answer, "spec": list(found.spec)}))
    if not found.is_equal:
        raise typer.Exit(1)


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the dashboard.")] = 8501,
) -> None:
    """Start the dashboard on 127.0.0.1."""
    place = Workspace.open()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise WorkspaceError(
                f"port {port} of 127.0.0.1 is in use.",
                hint=f"End what uses it, or take another: make run PORT={port + 1}",
            ) from None
    print(f"Distill Studio: http://127.0.0.1:{port}  (workspace {place.path})", flush=True)
    root = Path(__file__).resolve().parent.parent
    os.chdir(root)
    os.environ["DISTILL_WORKSPACE"] = str(place.path)
    command = [sys.executable, "-m", "streamlit", "run", str(root / "app.py")]
    os.execv(sys.executable, [*command, "--server.port", str(port)])


@app.command()
def doctor(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show device, versions, disk, and the data sets found."""
    import torch

    from engine.data.data_root import find_root, named_folders

    place = Workspace.open(workspace)
    gpus = range(torch.cuda.device_count())
    found = {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "cores": len(os.sched_getaffinity(0)),
        "gpus": [torch.cuda.get_device_name(i) for i in gpus],
        "workspace": str(place.path),
        "disk_free_bytes": place.free_bytes(),
        "data_root": str(find_root()),
        "data": named_folders(),
    }
    screen.print(yaml.safe_dump(found, sort_keys=False), highlight=False)
    if as_json:
        print(json.dumps(found))


# Driving runs from a terminal


def _plan(
    spec: str, settings: dict[str, Any], name: str
) -> Callable[[Workspace, bool], Experiment]:
    """Read a file or a preset; what it gives makes the runs, (workspace, are they ours).

    A wrong setting leaves no run behind.
    """
    path, shipped = Path(spec), ""
    is_file = path.suffix in (".yaml", ".yml", ".json")
    plain = _read_file(path) if is_file else {}
    if is_file and not {"base", "pairs"} & set(plain):
        for setting, value in settings.items():
            set_path(plain, setting, value)
        title, note, planned = path.stem, "", expand(read_spec(plain), {}, False)
    else:
        found = _only(path) if is_file else named_preset(spec)
        title, note, planned = found.title, found.note, plan_preset(found, settings)
        shipped = "" if is_file else found.name

    def make(workspace: Workspace, is_ours: bool) -> Experiment:
        from engine.assembly import check_parts

        for plan in planned:
            check_parts(plan.spec)
        return create_experiment(
            workspace, name or title, planned, preset=shipped, note=note, is_queued=not is_ours
        )

    return make


def _only(path: Path) -> Preset:
    match read_presets(path):
        case [preset]:
            return preset
        case several:
            names = ", ".join(preset.name for preset in several)
            raise SpecError(f"{path} describes {len(several)} experiments: {names}")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path} is no text") from None


def _drive(workspace: Workspace, executor: ProcessExecutor, folders: list[RunFolder]) -> str:
    """Run one after another in a worker process, and show how far they are."""
    try:
        for folder in folders:
            mark_queued(folder)
        for folder in folders:
            executor.submit(folder)
            _follow(folder, executor)
            if folder.status() != "finished":
                break
    except KeyboardInterrupt:
        screen.print("Stopping: the run saves first.")
    finally:
        executor.close()
        for other in folders:
            if other.status() == "queued":
                RunQueue(workspace).remove(other.id)
    return folder.status()


def _follow(folder: RunFolder, executor: ProcessExecutor) -> None:
    view, offset, told = RunView(), 0, 0
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(folder.meta().name, total=1.0, words="preparing")
        while True:
            is_over = bool(executor.poll())  # not its status: its worker must be free again
            events, offset, _ = folder.log.read(offset)
            view = fold(view, events)
            for note in view.notes[told:]:
                bar.console.print(note.text, highlight=False)
            told = len(view.notes)
            done = view.steps_done / view.total_steps if view.total_steps else 0.0
            bar.update(task, completed=done, words=_words(view))
            if is_over:
                break
            time.sleep(POLL_SECONDS)
    ended = view.ended
    if ended is not None and ended.status != "finished":
        screen.print(f"{ended.status}: {in_sentences(ended.message, ended.hint)}", highlight=False)


def _words(view: RunView) -> str:
    phase = view.phase
    if phase is None:
        return view.prepared[-1].text if view.prepared else "preparing"
    figure = view.figure("student", weights="last")
    right = "" if figure is None else f", {figure:.1%} {_HEADLINES[view.headline]}"
    return f"{phase.phase} {min(view.at[1] + 1, phase.epochs)}/{phase.epochs}{right}"


def _report(workspace: Workspace, experiment: Experiment) -> None:
    for name, found in figures(workspace, experiment).items():
        value = found.get("miou") if isinstance(found, dict) else found
        screen.print(f"{name:<8} {'not measured' if value is None else f'{value:.2%}'}")


# Small things


def _settings(given: list[str] | None) -> dict[str, Any]:
    """`a.b=1` texts as paths and YAML values."""
    found = {}
    for text in given or ():
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise SpecError(f"--set {text!r} is no setting; write it as in schedule.epochs=3")
        try:
            found[path.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise SpecError(f"--set {text!r} has a value that is no YAML") from error
    return found


def _input_shape(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or parts[0] != "3" or not all(part.isdigit() for part in parts):
        raise SpecError(f"--input {text!r} is no size; write it as in 3x32x32")
    return 3, int(parts[1]), int(parts[2])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
