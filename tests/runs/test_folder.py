from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from engine.errors import WorkspaceError
from engine.runs.disk import replace_file
from engine.runs.folder import Meta, RunFolder, Workspace, new_id

from .fakes import spec_of


def refuse(code: int) -> Any:
    def refused(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return refused


def test_a_workspace_is_made_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(tmp_path / "mine"))
    assert Workspace.open().path == tmp_path / "mine"
    assert (tmp_path / "mine" / "experiments").is_dir()


def test_a_workspace_is_in_the_current_folder_if_nothing_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTILL_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert Workspace.open().path == tmp_path / "workspace"


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="is a file, not a folder"):
        Workspace.open(tmp_path / "file")
    with pytest.raises(WorkspaceError, match="is not inside a folder"):
        Workspace.open(tmp_path / "file" / "below")


def test_a_read_only_workspace_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.open(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WorkspaceError, match="is read-only for this user"):
        Workspace.open(tmp_path)
    monkeypatch.setattr(Path, "mkdir", refuse(errno.EROFS))
    with pytest.raises(WorkspaceError, match="is on a read-only disk"):
        Workspace.open(tmp_path)


def test_a_run_keeps_its_spec_and_meta_data(workspace: Workspace) -> None:
    spec = spec_of(seed=7)
    folder = workspace.create(spec, Meta(name="a: b/c", tags=("x",), role="alone"))
    assert folder.spec() == spec
    assert folder.meta().name == "a: b/c"
    assert folder.meta().created > 0
    assert folder.artefacts.is_dir() and folder.checkpoints.is_dir()
    assert [found.id for found in workspace.runs()] == [folder.id]


def test_meta_data_change_field_by_field(run: RunFolder) -> None:
    assert run.update_meta(tags=("best",), notes="n").tags == ("best",)
    assert run.meta().name == "first"
    with pytest.raises(WorkspaceError, match="meta data colour"):
        run.update_meta(colour="red")


def test_the_environment_is_empty_before_it_is_written(run: RunFolder) -> None:
    assert run.environment() == {}
    run.write_environment({"torch": "2"})
    assert run.environment() == {"torch": "2"}


def test_runs_are_listed_newest_first(workspace: Workspace) -> None:
    made = [workspace.create(spec_of(), Meta()).id for _ in range(5)]
    assert [folder.id for folder in workspace.runs()] == made[::-1]


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert [i[:-3] for i in ids] == sorted(i[:-3] for i in ids)
    assert all(i == i.lower() for i in ids)


@pytest.mark.parametrize("run_id", ["../x", "", ".", "..", "a/b", "/etc", "A", "x\n", "x" * 65])
def test_what_is_no_id_never_becomes_a_path(workspace: Workspace, run_id: str) -> None:
    with pytest.raises(WorkspaceError, match="there is no run"):
        workspace.run(run_id)


def test_an_unknown_run_is_told(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="there is no run 'nothing'"):
        workspace.run("nothing")


def test_an_unreadable_run_hides_no_other(workspace: Workspace, run: RunFolder) -> None:
    bad = workspace.create(spec_of(), Meta(name="bad"))
    (bad.path / "spec.json").write_bytes(b"\xff\xfe")
    empty = workspace.path / "runs" / "empty"
    empty.mkdir()
    assert {folder.id for folder in workspace.runs()} == {run.id, bad.id, "empty"}
    assert [workspace.run(i).status() for i in (bad.id, "empty")] == ["unreadable", "unreadable"]
    with pytest.raises(WorkspaceError, match=f"spec.json of run {bad.id} cannot be read"):
        bad.spec()
    with pytest.raises(WorkspaceError, match="the file is missing"):
        workspace.run("empty").meta()


def test_a_spec_that_describes_no_run_is_named(run: RunFolder) -> None:
    (run.path / "spec.json").write_text('{"schema_version": 1}')
    with pytest.raises(WorkspaceError, match="data is missing"):
        run.spec()


def test_a_full_disk_leaves_no_half_made_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse(errno.ENOSPC))
        with pytest.raises(WorkspaceError, match=r"the disk of .* is full"):
            workspace.create(spec_of(), Meta())
    assert workspace.runs() == ()
    assert list((workspace.path / "runs").iterdir()) == []


def test_a_replaced_file_is_whole_or_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    with pytest.raises(WorkspaceError) as caught:
        replace_file(tmp_path / "a", b"new")
    assert caught.value.hint == "Free some space, then resume."
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_run_goes_to_the_trash(workspace: Workspace, run: RunFolder) -> None:
    workspace.trash(run.id)
    assert workspace.runs() == ()
    assert (workspace.path / "trash" / run.id / "spec.json").exists()


def test_a_run_that_is_alive_is_not_trashed(workspace: Workspace, run: RunFolder) -> None:
    with run.lock, pytest.raises(WorkspaceError, match=r"is being trained\. Stop it first"):
        workspace.trash(run.id)
    assert run.path.exists()


def test_the_printed_text_is_read_from_its_end(run: RunFolder) -> None:
    assert run.log_text(100) == ""
    (run.path / "log.txt").write_text("first line\nsecond line\n")
    assert run.log_text(1000) == "first line\nsecond line\n"
    assert run.log_text(15) == "second line\n"


def test_the_size_of_a_run_is_that_of_its_files(run: RunFolder) -> None:
    before = run.size_bytes()
    (run.checkpoints / "last").write_bytes(b"x" * 1000)
    assert run.size_bytes() == before + 1000


def test_free_space_is_known(workspace: Workspace) -> None:
    assert workspace.free_bytes() > 0
