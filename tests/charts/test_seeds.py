"""Means over seeds and paired differences, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from engine.api import Summary
from engine.runs.summary import Figures, Labels
from engine.spec import RunSpec
from pages.charts.seeds import full_names, groups_of, names_of, paired, seed_rows, usual_baseline
from tests.pages.canned import spec_of

POLICIES = {"t": "learned", "r": "random", "e": "all"}


def spec_named(run_id: str) -> RunSpec:
    """`t1`: taught by the learned policy, seed 1; `a0` alone; see POLICIES."""
    role = "alone" if run_id[0] == "a" else "taught"
    spec = spec_of(role, seed=int(run_id[1]))
    return spec if role == "alone" else spec.replace(policy=POLICIES[run_id[0]])


def row(run_id: str, value: float, *, split: str = "test", **more: object) -> Summary:
    spec = spec_named(run_id)
    figures = Figures(last_test=value) if split == "test" else Figures(last_validation=value)
    plain = {"id": run_id, "status": "finished", "labels": labels_with(spec), "seed": spec.seed}
    return Summary.model_validate({**plain, "figures": figures, **more})


def labels_with(spec: RunSpec) -> Labels:
    """The names of its parts."""
    return Labels(
        data=spec.data.name,
        student=spec.student.name,
        teacher=spec.teacher.name if spec.teacher else "",
        method=spec.method.name,
        distiller=spec.distiller.name if spec.distiller else "",
        policy=spec.policy.name if spec.policy else "",
    )


def table(rows: list[Summary], baseline: int = 0) -> list[dict[str, str]]:
    return seed_rows(groups_of({one.id: spec_named(one.id) for one in rows}, rows), baseline)


ALONE = [row("a0", 0.60), row("a1", 0.62), row("a2", 0.70)]
LEARNED = [row("t0", 0.61), row("t1", 0.64), row("t2", 0.73)]  # +1, +2, +3 points


def test_mean_and_spread_are_those_of_a_sample() -> None:
    alone, learned = table([*ALONE, *LEARNED])
    # 60, 62, 70: mean 64, deviations -4 -2 6, sum of squares 56, over 2 is 28
    assert alone["Accuracy (%)"] == "64.00 ± 5.29 (3)"
    # 61, 64, 73: mean 66, deviations -5 -2 7, sum of squares 78, over 2 is 39
    assert learned["Accuracy (%)"] == "66.00 ± 6.24 (3)"
    assert table(ALONE[:1])[0]["Accuracy (%)"] == "60.00 (one seed)"


def test_a_difference_is_paired_by_seed_so_that_what_seeds_share_drops_out() -> None:
    alone, learned = table([*ALONE, *LEARNED])
    # +1, +2, +3: mean 2, standard deviation 1, standard error .577, twice it 1.155 < 2
    assert learned["Difference"] == "+2.00 ± 1.00 (3)"
    assert learned["Noise"] == "outside the noise"
    assert learned["By seed"] == "0: +1.00, 1: +2.00, 2: +3.00"
    assert (alone["Difference"], alone["Noise"]) == ("baseline", "-")


def test_the_baseline_may_be_any_row() -> None:
    alone, learned = table([*ALONE, *LEARNED], baseline=1)
    assert alone["Difference"] == "-2.00 ± 1.00 (3)"
    assert learned["Difference"] == "baseline"


def test_a_mean_below_twice_its_standard_error_is_inside_the_noise() -> None:
    # -1, +1, +3: mean 1, standard deviation 2, standard error 1.155, twice it 2.31 > 1
    rows = [*ALONE, row("t0", 0.59), row("t1", 0.63), row("t2", 0.73)]
    assert table(rows)[1]["Difference"] == "+1.00 ± 2.00 (3)"
    assert table(rows)[1]["Noise"] == "inside the noise"


def test_runs_that_are_equal_are_inside_the_noise() -> None:
    rows = [*ALONE, row("t0", 0.60), row("t1", 0.62), row("t2", 0.70)]
    assert table(rows)[1]["Noise"] == "inside the noise"


def test_one_common_seed_and_none_are_told_as_such() -> None:
    one = table([*ALONE, LEARNED[1]])[1]
    assert (one["Difference"], one["Noise"]) == ("+2.00 (one seed)", "one seed")
    none = table([ALONE[0], LEARNED[1]])[1]
    assert (none["Difference"], none["Noise"]) == ("-", "no common seed")


def test_only_the_seeds_that_both_have_are_paired() -> None:
    rows = [*ALONE[:2], *LEARNED]
    assert table(rows)[1]["Difference"] == "+1.50 ± 0.71 (2)"
    assert table(rows)[1]["Accuracy (%)"].endswith("(3)")


def test_splits_are_never_mixed() -> None:
    held = [row("t0", 0.9, split="validation"), row("t1", 0.9, split="validation")]
    found = table([*ALONE, *held])
    assert [one["Split"] for one in found] == ["test", "validation"]
    assert (found[1]["Difference"], found[1]["Noise"]) == ("-", "another split")


def test_a_seed_that_was_run_twice_counts_once_and_by_its_newest_run() -> None:
    again = row("a0", 0.64, created=9.0).model_copy(update={"id": "b0"})
    specs = {"a0": spec_named("a0"), "b0": spec_named("a0")}
    (group,) = groups_of(specs, [again, ALONE[0]])
    assert group.by_seed == {0: 0.64}


def test_runs_that_are_not_finished_are_left_out() -> None:
    stopped = row("t0", 0.5).model_copy(update={"status": "stopped"})
    assert [one["Method"] for one in table([*ALONE, stopped])] == ["alone"]
    assert groups_of({}, ALONE) == []


def test_machine_and_threads_do_not_divide_seeds() -> None:
    specs = {one.id: spec_named(one.id) for one in ALONE}
    specs["a1"] = specs["a1"].replace(threads=4, device="cuda:0")
    assert len(groups_of(specs, ALONE)) == 1


def test_settings_that_tell_two_rows_of_one_name_apart_are_said() -> None:
    specs = {"t0": spec_named("t0"), "t1": spec_named("t1")}
    specs["t1"] = specs["t1"].replace(**{"policy.knobs": {"warm_start": 0}})
    groups = groups_of(specs, LEARNED[:2])
    assert full_names(groups) == ["learned (warm_start default)", "learned (warm_start 0)"]
    assert [one["Settings"] for one in seed_rows(groups, 0)] == [
        "warm_start default",
        "warm_start 0",
    ]
    assert "Settings" not in table([*ALONE, *LEARNED])[0]


def test_conditions_that_are_not_the_same_for_all_rows_are_said_in_each() -> None:
    specs = {"a0": spec_named("a0"), "t0": spec_named("t0").replace(**{"schedule.epochs": 3})}
    groups = groups_of(specs, [ALONE[0], LEARNED[0]])
    assert full_names(groups) == ["alone (epochs 10)", "learned (epochs 3)"]


def test_policies_of_one_method_are_called_by_their_names() -> None:
    rows = [*ALONE, *LEARNED, row("r0", 0.6)]
    assert [one["Method"] for one in table(rows)] == ["alone", "learned", "random"]
    assert table(LEARNED)[0]["Method"] == "learned"
    groups = groups_of({one.id: spec_named(one.id) for one in rows}, rows)
    other = spec_named("t0").replace(distiller="sp")
    mixed = [*groups, *groups_of({"t0": other}, [row("t0", 0.5, labels=labels_with(other))])]
    assert names_of(mixed)[1] == "spot_adaptive + at + learned"


def test_the_usual_baseline_is_the_student_alone_else_ordinary_distillation() -> None:
    rows = [*LEARNED, row("e0", 0.6), *ALONE]
    groups = groups_of({one.id: spec_named(one.id) for one in rows}, rows)
    assert groups[usual_baseline(groups)].labels.method == "alone"
    assert groups[usual_baseline(groups, ("all", "alone"))].labels.policy == "all"
    assert usual_baseline(groups[:1]) == 0


def test_the_teacher_is_a_column_only_where_it_differs() -> None:
    assert "Teacher" not in table([*ALONE, *LEARNED])[0]


def test_shares_stay_shares_below_the_table() -> None:
    alone, learned = groups_of(
        {one.id: spec_named(one.id) for one in [*ALONE, *LEARNED]}, [*ALONE, *LEARNED]
    )
    found = paired(learned, alone)
    assert found.mean == pytest.approx(0.02)
    assert found.spread == pytest.approx(0.01)
