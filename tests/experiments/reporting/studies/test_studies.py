"""Studies: their runs compose, their statements about size are true, and what is compared follows from the rows."""

import dataclasses
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from experiments.config.compose import check_network, configure
from experiments.records import Cell
from experiments.reporting.figures import style
from experiments.reporting.figures.studies import choices
from experiments.reporting.metrics import PARAMETERIZATIONS
from experiments.reporting.studies import study as studies
from experiments.reporting.studies.intervals import changes, nearest
from experiments.reporting.studies.study import Option, Study
from experiments.reporting.studies.writer import section, write_all
from experiments.reporting.tables.specs import Printed
from experiments.reporting.targets import load_target
from scripts.update_docs import BEGIN, END, ROOT

OPEN = ("navier_stokes", "nerf_two_pi", "shape_normalize", "darcy_reading", "depth", "text_std", "ct_scale")
OPEN += ("rwf_log", "aa_layer", "causal_sum", "training_length", "ct_size", "nerf_size", "learning_rate")
OPEN += ("navier_stokes_1000", "navier_stokes_full", "depth_deeponet", "precision", "precision_full")
OPEN += ("precision_shape", "precision_ct", "precision_nerf")
STUDY = Study(
    "synthetic",
    "A choice",
    "Which?",
    {"experiment": "darcy", "embedding": "none", "model": "deeponet"},
    "relative_l2",
    (Option("ours"), Option("theirs", ("task.law=minus",))),
    {name: Printed(value) for name, value in zip(PARAMETERIZATIONS, (20.0, 19, 18, 17), strict=True)},
)


def test_all_open_points_have_a_study():
    assert sorted(OPEN) == studies.names()


@pytest.mark.parametrize("name", OPEN)
def test_a_study_composes_and_says_truly_what_is_smaller(name):
    study = studies.read_study(name)
    choice, column = study.choices[-1], "rwf"
    cell = study.cell_of(choice, column, "short")
    config = configure([*cell.overrides, "profile=short", "tracking=none"])
    check_network(config)
    own = choice.reduced or (study.profiles["short"].reduced if "short" in study.profiles else None)
    reduced = own if own and config.variant else config.root.reduced
    assert f"{config.trainer.steps:,} steps" in reduced
    assert study.choices[0].settings != choice.settings or choice.cell or choice.parameterizations
    columns = {name for word in study.choices for name in word.parameterizations}
    assert columns <= set(PARAMETERIZATIONS)


def test_a_study_made_for_one_profile_says_so_at_another():
    with pytest.raises(ValueError, match="made for profile=short, not paper"):
        load_target("study_training_length", "paper")


def test_a_choice_that_sets_nothing_is_the_experiments_own_run_in_its_own_words(make_row):
    study = studies.read_study("depth")
    own, *changed = study.choices
    cells = study.cell_of(own, "rwf", "short"), Cell("image_natural", "rwf", "gaussian", "mlp")
    ours, alone = (configure([*cell.overrides, "profile=short"]) for cell in cells)
    assert (ours.choices, ours.variant) == (alone.choices, ())
    row = make_row(experiment="image_natural", profile="short", reduced=alone.root.reduced)
    assert study.reduced(row, own) == alone.root.reduced
    for choice in changed:
        config = configure([*study.cell_of(choice, "rwf", "short").overrides, "profile=short"])
        changed_row = dataclasses.replace(row, variant=config.variant)
        assert study.reduced(changed_row, choice) == study.profiles["short"].reduced


def test_what_a_choice_sets_counts_before_what_its_profile_sets():
    study = studies.read_study("navier_stokes_1000")
    printed, _, five, throughout = study.choices[:4]
    values = []
    for choice in (printed, five, throughout):
        config = configure([*study.cell_of(choice, "rwf", "short").overrides, "profile=short"])
        assert config.task.reynolds == 1000.0
        values.append([stage.value for stage in config.task.strategy.stages])
    assert values == [[100, 500, 1000], [100, 200, 400, 700, 1000], [1000]]


def test_the_cavity_at_full_size_is_the_papers_but_for_what_each_choice_says():
    study = studies.read_study("navier_stokes_full")
    printed, *others = (
        configure([*study.cell_of(choice, "rwf", "paper").overrides, "profile=paper"])
        for choice in study.choices
    )
    assert printed.variant == () and printed.root.reduced is None
    gaps, smooth, march = others[1], others[2], others[-1]
    assert (gaps.task.corner_gap, gaps.task.lid_gap, smooth.task.lid) == (0.05, 0.05, "smooth")
    for config in others[:-1]:
        assert (config.trainer, config.optimizer) == (printed.trainer, printed.optimizer)
        assert config.task.residual_points == 1024 and config.root.reduced is None
    assert march.task.needs_former and march.task.reynolds == 1000.0 and march.task.lid == "constant"
    assert (others[3].embedding_name, others[4].model_name) == ("symmetric", "modified_mlp")


def test_rows_of_a_choice_that_is_another_experiment_stand_in_the_study(make_row):
    study = studies.read_study("navier_stokes_full")
    names = {"experiment": "navier_stokes_pseudo_time", "embedding": "both_ends", "model": "multihead_mlp"}
    facts = {"items": ("cavity",), "metric": "relative_l2", "metrics": {"relative_l2": (0.1,)}}
    profile, table = studies.best_table(study, [make_row("rwf", profile="paper", **names, **facts)])
    assert profile == "paper" and table.lines[-1].entries["rwf"].ours.mean == pytest.approx(0.1)


def test_sizes_of_the_cavity_study_are_those_it_states():
    study = studies.read_study("navier_stokes")
    cell = study.cell_of(study.choices[4], "plain", "short")
    config = configure([*cell.overrides, "profile=short"])
    assert (config.task.residual_points, config.task.reynolds, config.model.keywords["width"]) == (
        256,
        100.0,
        64,
    )
    assert [float(config.task.strategy.parameter(100.0, step)) for step in (0, 400, 2499)] == [10, 20, 100]
    for size in ("Re = 100", "256 collocation points", "5 x 64 network"):
        assert size in study.profiles["short"].reduced


def test_the_darcy_study_has_every_reading_once_and_the_default_first():
    study = studies.read_study("darcy_reading")
    seen = []
    for choice in study.choices:
        task = configure([*study.cell_of(choice, "plain", "paper").overrides, "profile=paper"]).task
        words = {"natural": "e^-0.5", "minus": "0.5", "log10": "10^-0.5"}[task.law]
        words = f"length {words}, {'standardised' if task.standardize else 'raw'} u"
        assert choice.label == f"{words}, {'log a' if task.log_input else 'a'}"
        seen.append((task.law, task.standardize, task.log_input))
    assert len(set(seen)) == len(seen) == 3 * 2 * 2 and study.choices[0].settings == ()
    assert "2.03" in study.criterion and study.spread_counts


@pytest.mark.parametrize(("counts", "best"), [(False, "ours"), (True, "theirs")])
def test_plain_alone_says_which_choice_is_nearest_with_its_spread_where_that_counts(make_row, counts, best):
    paper = {name: Printed(20.0, 15.0) for name in PARAMETERIZATIONS}
    study = dataclasses.replace(STUDY, paper=paper, spread_counts=counts)
    common = {"experiment": "darcy", "embedding": "none", "model": "deeponet", "items": ("darcy",)}
    common |= {"metric": "relative_l2", "reduced": None, "profile": "paper"}
    measured = {(): (0.205, 0.41), ("task.law=minus",): (0.21, 0.16)}  # the mean nearer, the spread nearer
    rows = [
        make_row(
            id=f"{mean}",
            variant=variant,
            metrics={"relative_l2": (mean,), "relative_l2_std": (spread,)},
            **common,
        )
        for variant, (mean, spread) in measured.items()
    ]
    table = studies.table(study, "paper", rows)
    (found,) = nearest(study, table.lines)
    assert f"is “{best}” with" in found
    text = section(study, "paper", table)
    assert "Pending" not in text and found in text
    assert ("20.00 ± 15.00 %" in found) == ("21.00 ± 16.00 %" in found) == counts


def test_rows_of_another_protocol_are_no_rows_of_a_study(make_row):
    common = {"experiment": "darcy", "embedding": "none", "model": "deeponet", "metric": "relative_l2"}
    common |= {"profile": "short"}
    rows = [make_row(metrics={"relative_l2": (0.2, 0.2)}, **common)]
    assert studies.table(STUDY, "short", rows).lines[0].entries["plain"].rows
    older = [dataclasses.replace(row, protocol=1) for row in rows]
    assert not studies.table(STUDY, "short", older).lines[0].entries["plain"].rows


def test_rows_of_runs_are_found_under_their_choice_and_column(make_row):
    study = studies.read_study("text_std")
    own = {"experiment": "image_text", "profile": "short"}
    rows = [make_row("plain", **own), make_row("rwf", **own)]
    rows.append(make_row("rwf", variant=("parameterization.std=0.01",), metrics={"psnr": (1.0, 2.0)}, **own))
    rows.append(make_row("rwf", variant=("parameterization.std=0.5",), **own))
    first, second = studies.table(study, "short", rows).lines
    assert first.entries["plain"].rows[0].id == second.entries["plain"].rows[0].id
    assert (first.entries["rwf"].ours.mean, second.entries["rwf"].ours.mean) == (27.0, 1.5)
    assert not studies.table(study, "paper", rows).lines[0].entries["plain"].rows


def test_the_control_has_its_column_in_a_study_that_names_it(make_row):
    study = studies.read_study("precision")
    cells = study.cells("quick")
    assert len(cells) == 4 * 5 and sum(cell.parameterization == "plain_lr" for cell in cells) == 4
    for cell in cells:
        check_network(configure([*cell.overrides, "profile=quick", "tracking=none"]))
    places = study.places("quick")
    emulated, float32 = (
        next(
            cell for cell, found in places.items() if (found[0][0].label, found[0][1]) == (label, "plain_lr")
        )
        for label in ("TF32 products, emulated", "float32")
    )
    rows = [
        make_row("plain_lr", variant=cell.variant, metrics={"psnr": (value, value)}, profile="quick")
        for cell, value in ((emulated, 20.0), (float32, 25.0))
    ]
    lines = {line.label: line for line in studies.table(study, "quick", rows).lines}
    assert lines["float32"].entries["plain_lr"].ours.mean == 25.0
    assert lines["TF32 products, emulated"].entries["plain_lr"].ours.mean == 20.0


def rows_of(make_row, values, reduced=None, **changes):
    """A row for each choice, column and seed of the synthetic study: values[choice][column] = [by seed]."""
    variants = {"ours": (), "theirs": ("task.law=minus",)}
    return [
        make_row(
            column, seed, experiment="darcy", embedding="none", model="deeponet", variant=variants[choice],
            items=("darcy",), metric="relative_l2", metrics={"relative_l2": (value,)}, reduced=reduced,
            **{"id": f"{choice}-{column}", "profile": "short", **changes},
        )
        for choice, columns in values.items()
        for column, numbers in columns.items()
        for seed, value in enumerate(numbers)
    ]  # fmt: skip


PLAIN, RWF = [0.20, 0.22, 0.21], [0.10, 0.11, 0.105]
OTHER = {"aa": [0.2] * 3, "wn": [0.2] * 3}
VALUES = {
    "ours": {"plain": PLAIN, "rwf": RWF, **OTHER},
    "theirs": {"plain": [0.40, 0.46, 0.42], "rwf": [0.19, 0.25, 0.20], **OTHER},
}


def cells(table) -> list[tuple]:
    """The cells of the second choice: its columns against the first's, RWF against Plain, the advantage."""
    return [(cell.text, *cell.below) for cell in changes(STUDY, table).rows[1]]


def test_the_intervals_are_those_of_a_calculation_by_hand(make_row):
    table = studies.table(STUDY, "short", rows_of(make_row, VALUES))
    label, plain, _, own, advantage = cells(table)
    logs = np.log(VALUES["theirs"]["plain"]) - np.log(PLAIN)
    half = stats.t.ppf(0.975, 2) * np.std(logs, ddof=1) / math.sqrt(3)
    low, high = np.exp(np.mean(logs) - half), np.exp(np.mean(logs) + half)
    assert low > 1 and label == ("theirs",)
    assert plain == (f"×{np.exp(np.mean(logs)):.2f} error", f"[{low:.2f}, {high:.2f}]", "3 seeds", "worse")
    ours = np.log(RWF) - np.log(PLAIN)
    theirs = np.log(VALUES["theirs"]["rwf"]) - np.log(VALUES["theirs"]["plain"])
    both = theirs - ours
    assert abs(np.mean(both)) < stats.t.ppf(0.975, 2) * np.std(both, ddof=1) / math.sqrt(3)
    assert advantage[-1] == "undecided (wide interval)"
    assert own[0] == f"×{np.exp(np.mean(theirs)):.2f} error" and own[-1] == "better"
    assert changes(STUDY, table).below == ("Nearest the paper's Plain, 20.00 %, is “ours” with 21.00 %.",)


def test_an_advantage_that_shrinks_in_each_seed_is_called_smaller_and_equal_runs_the_same(make_row):
    values = {**VALUES, "theirs": {"plain": PLAIN, "rwf": [0.19, 0.21, 0.20], **OTHER}}
    rows = rows_of(make_row, values)
    found = cells(studies.table(STUDY, "short", rows))
    assert found[-1][-1] == "smaller"
    same = [dataclasses.replace(row, id="shared") if row.parameterization == "plain" else row for row in rows]
    head, *_ = changes(STUDY, studies.table(STUDY, "short", same)).head[1:]
    assert head == "RWF against “ours”"  # the choice does not change Plain


def test_one_unit_decides_nothing(make_row):
    values = {choice: {name: [v[0]] for name, v in columns.items()} for choice, columns in VALUES.items()}
    table = studies.table(STUDY, "short", rows_of(make_row, values, reduced="tiny"))
    found = cells(table)
    assert found[1] == ("×2.00 error", "1 seed", "undecided (one seed)")
    assert {cell[-1] for cell in found[1:]} == {"undecided (one seed)"}
    (text,) = changes(STUDY, table).below
    assert text.endswith("as the runs are smaller than the paper's, that decides nothing.")


def test_each_choice_says_how_many_seeds_it_has(make_row):
    theirs = {name: numbers[:2] for name, numbers in VALUES["theirs"].items()}
    grid = changes(STUDY, studies.table(STUDY, "short", rows_of(make_row, {**VALUES, "theirs": theirs})))
    assert [row[3].below[1] for row in grid.rows] == ["3 seeds", "2 seeds"]


def test_a_choice_that_adds_items_alone_is_not_compared_with_itself(make_row):
    """Numbers that are equal bit by bit on the common items are no result of another choice."""
    rows = rows_of(make_row, {**VALUES, "theirs": VALUES["ours"]})
    assert cells(studies.table(STUDY, "short", rows))[1] == ("the same numbers for what both have",)


def test_missing_runs_are_pending(make_row):
    table = studies.table(STUDY, "short", rows_of(make_row, {"ours": VALUES["ours"]}))
    found = changes(STUDY, table)
    assert len(found.rows) == 1 and found.below[-1] == "Not run yet: theirs."
    text = section(STUDY, "short", table)
    assert "Pending" in text and "results/" not in text


def test_a_study_half_done_at_the_papers_scale_is_shown_before_a_whole_short_one(make_row):
    short = rows_of(make_row, VALUES)
    paper = [dataclasses.replace(row, profile="paper") for row in short if row.parameterization == "rwf"]
    assert studies.best_table(STUDY, short)[0] == "short"
    profile, table = studies.best_table(STUDY, [*short, *paper])
    assert profile == "paper" and "Pending" not in section(STUDY, profile, table)
    first_alone = [row for row in paper if row.exact_cell == paper[0].exact_cell]
    assert studies.best_table(STUDY, [*short, *first_alone])[0] == "short"  # it compares nothing yet


def test_the_figure_has_a_point_for_each_choice_and_column(make_row):
    table = studies.table(STUDY, "short", rows_of(make_row, VALUES))
    with style.look():
        figure = choices(table)
    (axes,) = figure.axes
    means = sorted(float(bar.lines[0].get_ydata()[0]) for bar in axes.containers)
    expected = sorted(100 * np.mean(numbers) for columns in VALUES.values() for numbers in columns.values())
    np.testing.assert_allclose(means, expected)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ours", "theirs"]
    plt.close(figure)


def test_a_study_is_a_target_and_writes_its_files(tmp_path, make_row):
    table = studies.table(STUDY, "short", rows_of(make_row, VALUES))
    paths = write_all(STUDY, table, tmp_path)
    assert sorted(path.suffix for path in paths) == [".csv", ".md", ".pdf", ".png", ".tex"]
    text = paths[0].read_text()
    assert text.startswith("**Study synthetic: A choice.**") and "RWF's advantage against “ours”" in text
    target = load_target("study_aa_layer")
    assert len(target.cells) == 5  # four columns, and another AA
    with pytest.raises(ValueError, match="no study named 'tea': known are aa_layer, causal_sum"):
        load_target("study_tea")


def test_the_page_has_the_marks_that_the_command_writes_between():
    text = (ROOT / "docs" / "reproduction.md").read_text()
    assert text.count(BEGIN.format("studies")) == text.count(END.format("studies")) == 1
    for name in OPEN:
        assert f"### {studies.read_study(name).title}\n" in text
