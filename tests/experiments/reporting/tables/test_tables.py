"""Which rows a table takes, what it says about them, and how it is written."""

import csv
import io
import re
from dataclasses import replace

import pytest

from experiments.records import add_rows
from experiments.reporting import selection
from experiments.reporting.metrics import PARAMETERIZATIONS
from experiments.reporting.tables import renderers, specs, writers
from experiments.reporting.tables import table as tables
from scripts import make_table

GAUSSIAN = 2  # the line of table 6 that the synthetic rows belong to


def line(rows, name="table_6", number=GAUSSIAN):
    return tables.build(specs.table_spec(name), rows).lines[number]


def words(table_line) -> list[str]:
    return [mark.word for mark in table_line.marks]


def test_paper_and_ours_stand_side_by_side_with_difference_and_verdict(four):
    found = line(four(plain=[26.0, 28.0], aa=[26.1, 28.1], wn=[25, 27], rwf=[26.5, 28.6]))
    assert found.entries["rwf"].ours.mean == pytest.approx(27.55) and found.entries["rwf"].best
    assert found.entries["rwf"].ours.spread == pytest.approx(1.05)
    assert not found.entries["plain"].best
    assert found.entries["rwf"].paper == specs.Printed(28.08, 4.34) and found.entries["rwf"].paper_best
    assert found.interval.mean == pytest.approx(0.55) and found.interval.items == 2
    assert (found.units, found.comparisons["plain"].reason) == ("2 items, for this seed", "one seed")


def seeds(make_row, count=3, **values):
    """Rows of Natural with three items, those of each parameterization near its value in `values`."""
    rows = []
    for name, value in values.items():
        for seed in range(count):
            items = {
                "items": ("a", "b", "c"),
                "metrics": {"psnr": [value + n + 0.01 * seed * n for n in range(3)]},
            }
            rows.append(make_row(name, seed, **items))
    return rows


def verdicts(table_line) -> list[str]:
    return [one.verdict for one in table_line.comparisons.values()]


def test_each_rival_has_a_verdict_and_the_cell_names_them(make_row):
    found = line(seeds(make_row, plain=25, aa=24, wn=27, rwf=26, plain_lr=26.05))
    assert list(found.comparisons) == ["plain", "aa", "wn", "plain_lr"]
    assert verdicts(found) == ["better", "better", "worse", "equivalent"]
    assert found.against_others == "worse"
    assert writers.verdict_lines(found) == [
        "better than Plain, AA", "equivalent to the control", "worse than WN",
    ]  # fmt: skip
    one = line(seeds(make_row, 1, plain=25, aa=24, wn=27, rwf=26))
    assert writers.verdict_lines(one) == [
        "undecided against Plain, AA, WN (one seed)", "pending against the control",
    ]  # fmt: skip
    assert one.units == "3 items, for this seed"


def test_best_is_of_the_runs_that_all_columns_have(make_row):
    """WN was run for the seed that is easy for all; over three seeds Plain's mean is lower, on that seed higher."""
    rows = [
        make_row(name, metrics={"psnr": (30.0 + more, 30.0 + more)})
        for name, more in (("plain", 1), ("wn", 0))
    ]
    rows += [make_row("plain", seed, metrics={"psnr": (20.0, 20.0)}) for seed in (1, 2)]
    found = line(rows)
    assert found.entries["plain"].ours.mean < found.entries["wn"].ours.mean
    assert found.entries["plain"].best and not found.entries["wn"].best and "uneven" in words(found)


def test_a_column_that_lost_a_common_run_is_not_best(four):
    found = line(four(plain=[20, None], aa=[10, 10], wn=[9, 9], rwf=[8, 8]))
    assert [name for name, entry in found.entries.items() if entry.best] == ["aa"]


def test_collapsed_runs_are_counted_and_both_means_stand(make_row):
    items = {"items": tuple("abcd")}
    rows = [make_row("plain", metrics={"psnr": (27.0, 23.0, 27.0, 27.0)}, collapsed=(False,) * 4, **items)]
    rows += [
        make_row(
            "rwf", metrics={"psnr": (28.0, 9.0, 28.0, 28.0)}, collapsed=(False, True, False, False), **items
        )
    ]
    rows += [
        make_row("aa", metrics={"psnr": (27.0, 27.0, 27.0, 27.0)}, **items)
    ]  # of an older row it is not known
    table = tables.build(specs.table_spec("table_6"), rows)
    found = table.lines[GAUSSIAN]
    rwf = found.entries["rwf"]
    assert rwf.ours.mean == pytest.approx(23.25) and rwf.survivors.mean == 28.0 and not rwf.best
    assert found.entries["plain"].ours.mean == 26.0
    assert found.entries["plain"].survivors.mean == 27.0  # of the same items
    (mark,) = [mark for mark in found.marks if mark.word == "collapsed"]
    assert mark.explanation.startswith("RWF 1 of 4 (b): last training loss above 100 times the smallest")
    text = writers.markdown(table).replace("\u00a0", " ")
    assert "23.25±8.23<br>28.00±0.00 without those collapsed<br>(28.08±4.34)" in text
    csv_row = next(r for r in csv.DictReader(io.StringIO(writers.csv_of(table))) if r["collapsed"] == "1")
    assert (csv_row["parameterization"], csv_row["ours_without_collapsed"]) == ("rwf", "28.0")
    assert found.interval.mean == pytest.approx(-2.75)  # not left out of the difference


def test_rows_of_different_profiles_data_or_precision_are_never_mixed(four):
    quick = four(plain=[1, 1], aa=[1, 1], wn=[1, 1], rwf=[1, 1])
    for changes in (
        {"profile": "smoke", "reduced": None},
        {"data": {"name": "other", "checksum": "c1", "stand_in": "DIV2K crops"}},
        {"precision": "tensorfloat32", "date": "2020-01-01T00:00:00+00:00"},
    ):
        other = four(plain=[9, 9], aa=[9, 9], wn=[9, 9], rwf=[9, 9], changes=changes)
        found = line(other + quick)
        assert {entry.ours.mean for entry in found.entries.values() if entry.ours} == {1.0}
        # With one column missing from the preferred source, the complete one is shown rather than a mixture.
        found = line(other + quick[1:])
        assert {entry.ours.mean for entry in found.entries.values() if entry.ours} == {9.0}


def test_paper_profile_before_quick_and_newest_of_a_seed(four, make_row):
    quick = four(plain=[1, 1], aa=[1, 1], wn=[1, 1], rwf=[1, 1])
    paper = four(
        plain=[2, 2], aa=[2, 2], wn=[2, 2], rwf=[2, 2], changes={"profile": "paper", "reduced": None}
    )
    again = make_row(
        "rwf", profile="paper", reduced=None, items=("0", "1"), metrics={"psnr": (3, 3)}, date="2027"
    )
    found = line([*paper, again, *quick])
    assert [found.entries[name].ours.mean for name in ("plain", "rwf")] == [2.0, 3.0]
    assert "reduced" not in words(found) and "reduced" in words(line(quick))


def test_rows_of_other_cells_are_left_out(four):
    rows = four(plain=[1, 1], rwf=[1, 1], changes={"variant": ("model.width=8",)})
    rows += four(plain=[1, 1], rwf=[1, 1], changes={"embedding": "none"})
    table = tables.build(specs.table_spec("table_6"), rows)
    assert [entry.ours is None for entry in table.lines[GAUSSIAN].entries.values()] == [True] * 5
    assert writers.verdict_lines(table.lines[0])[1] == "pending against AA, WN, the control"
    assert words(table.lines[0])[0] == "pending"
    assert "AA, WN" in table.lines[0].marks[0].explanation


def test_all_seeds_are_used_together(make_row):
    rows = [
        make_row(name, seed, experiment="advection", embedding="periodic", items=("advection",),
                 metric="relative_l2", metrics={"relative_l2": (value * (1 + 0.1 * seed),)})
        for name, value in {"plain": 0.4, "aa": 0.4, "wn": 0.5, "rwf": 0.04}.items()
        for seed in range(3)
    ]  # fmt: skip
    found = line(rows, "table_10", 0)
    assert found.entries["plain"].ours.mean == pytest.approx(0.44) and found.entries["plain"].ours.seeds == 3
    assert (found.units, found.against_others) == ("3 seeds", "better")
    (cell,) = [
        cell
        for cell in writers.grid(tables.build(specs.table_spec("table_10"), rows)).rows[0]
        if "×" in cell.text
    ]
    assert (cell.text, cell.below) == ("×0.10 error", ("[0.10, 0.10]", "3 seeds"))


def test_spread_within_one_item_is_the_papers_for_operators(make_row):
    rows = [
        make_row(name, experiment="diffusion_reaction", embedding="none", model="deeponet", items=("test",),
                 metric="relative_l2", metrics={"relative_l2": (0.011,), "relative_l2_std": (0.005,)})
        for name in ("plain", "aa", "wn", "rwf")
    ]  # fmt: skip
    found = line(rows, "table_12", 0)
    assert (
        found.metric.text(found.entries["rwf"].ours.mean, found.entries["rwf"].ours.spread) == "1.10 ± 0.50"
    )
    assert (found.against_others, found.units) == ("undecided", "1 seed")  # however many test functions


def test_diverged_runs_are_counted_and_not_dropped_in_silence(make_row):
    rows = seeds(make_row, plain=25, wn=24, rwf=26)
    rows += [
        make_row("aa", seed, items=("a", "b", "c"), metrics={"psnr": (27.0, None, 29.0)}) for seed in range(3)
    ]
    found = line(rows)
    assert found.entries["aa"].diverged == 3
    (mark,) = [mark for mark in found.marks if mark.word == "diverged"]
    assert mark.explanation.startswith("AA 3 of 9")
    # On what AA finished it is ahead; that it lost a third bars "RWF is worse".
    assert found.comparisons["aa"].interval.mean == pytest.approx(-0.99, abs=0.02)
    assert (found.comparisons["aa"].verdict, found.comparisons["aa"].reason) == (
        "undecided",
        "AA diverged in 3 of 9",
    )
    assert found.comparisons["plain"].verdict == "better" and found.against_others == "undecided"
    all_gone = [make_row("plain", metrics={"psnr": (None, None)}), make_row("rwf")]
    one = line(all_gone).comparisons["plain"]
    assert (one.interval, one.reason) == (None, "Plain diverged in 2 of 2")
    assert "diverged" in writers.markdown(tables.build(specs.table_spec("table_6"), all_gone))


def test_marks_say_where_numbers_come_from(four):
    data = {"name": "photographs", "checksum": "c", "stand_in": "DIV2K crops"}
    found = line(four(plain=[1], aa=[1], wn=[1], rwf=[1], changes={"protocol": 0, "data": data}))
    assert words(found) == ["pending", "stale", "reduced", "stand-in", "note"]
    assert [mark.explanation for mark in found.marks][2:4] == [
        "profile quick: 64x64 pixels, 500 steps",
        "photographs in place of DIV2K crops",
    ]
    uneven = four(plain=[1, 1], aa=[1, 1], wn=[1, 1]) + four(rwf=[2])
    assert "uneven" in words(line(uneven)) and line(uneven).interval.pairs == 1
    text = four(plain=[1], aa=[1], wn=[1], rwf=[1], changes={"experiment": "image_text", "embedding": "none"})
    assert "paper" in words(line(text, "table_7", 0))  # where RWF loses in the paper


def test_medians_over_test_functions_stand_beside_means_where_runs_state_them(make_row):
    common = {"experiment": "darcy", "embedding": "none", "model": "deeponet", "items": ("darcy",)}
    measured = {"relative_l2": (0.02,), "relative_l2_std": (0.015,), "relative_l2_median": (0.011,)}
    rows = [
        make_row("plain", 0, metric="relative_l2", metrics=measured, **common),
        make_row(
            "plain", 1, metric="relative_l2", metrics={**measured, "relative_l2_median": (0.013,)}, **common
        ),
        make_row("rwf", 0, metric="relative_l2", metrics={"relative_l2": (0.01,)}, **common),
    ]
    table = tables.build(specs.table_spec("table_12"), rows)
    assert "2.00±1.50<br>median\u00a01.20<br>(2.03±1.54)" in writers.markdown(table)
    assert "median 1.20" in writers.terminal(table)
    assert "over the test functions of one trained network" in writers.legend(table)
    found = {
        row["parameterization"]: row
        for row in csv.DictReader(io.StringIO(writers.csv_of(table)))
        if row["label"] == "Darcy"
    }
    assert float(found["plain"]["median"]) == pytest.approx(0.012) and found["rwf"]["median"] == ""
    without = tables.build(specs.table_spec("table_1"), rows)  # which shows no spread
    assert "median" not in writers.markdown(without)


def test_current_rows_come_before_stale_ones(four):
    stale = four(plain=[9], aa=[9], wn=[9], rwf=[9], changes={"protocol": 0, "profile": "paper"})
    found = line(stale + four(plain=[1]))
    assert found.entries["plain"].ours.mean == 1 and "stale" not in words(found)


def test_timings_are_compared_on_one_device_and_get_no_verdict(four, make_row):
    slow = four(plain=[1], aa=[1], wn=[1], rwf=[1])
    fast = [
        make_row(name, device_name="an accelerator", iterations_per_second=1e3) for name in ("plain", "rwf")
    ]
    table = tables.build(specs.table_spec("table_5"), slow + fast)
    found = table.lines[0]
    assert [entry.ours.mean for entry in found.entries.values()] == [16.0] * 4
    assert ("device", "a processor, 1 core, float32") in [
        (mark.word, mark.explanation) for mark in found.marks
    ]
    assert "RWF is" not in writers.markdown(table) and "plain_lr" not in table.columns


def test_speeds_of_runs_that_were_one_program_are_not_compared(make_row):
    rows = [make_row(name, together=2) for name in ("plain", "rwf")]
    found = tables.build(specs.table_spec("table_5"), rows).lines[0]
    assert all(entry.ours is None for entry in found.entries.values())


def test_the_control_has_a_column_a_difference_and_a_claim(four):
    rows = four(plain=[1, 2], aa=[1, 2], wn=[1, 2], rwf=[2, 3])
    without = writers.markdown(tables.build(specs.table_spec("table_6"), rows))
    assert "rate × e^μ" in without and "not run yet: Plain, rate × e^μ" in without
    table = tables.build(specs.table_spec("table_6"), rows + four(plain_lr=[9, 9.5]))
    assert list(table.columns)[-1] == "plain_lr"
    assert not table.lines[GAUSSIAN].entries["plain_lr"].best  # bold is among the paper's four
    for text in (writers.markdown(table), writers.terminal(table), renderers.latex(writers.grid(table))):
        assert "9.25" in text and "RWF vs the control" in text and "6.75" in text
    assert "the control, which the paper lacks" in writers.markdown(table)


def test_a_parameterization_of_ones_own_has_a_column_by_its_name(four):
    rows = four(plain=[1, 2], aa=[1, 2], wn=[1, 2], rwf=[2, 3])
    table = tables.build(specs.table_spec("table_6"), rows + four(offset=[9, None]))
    line = table.lines[GAUSSIAN]
    assert list(table.columns) == ["plain", "aa", "wn", "rwf", "plain_lr", "offset"]
    assert (
        not line.entries["offset"].best and line.comparisons["offset"].reason == "offset diverged in 1 of 2"
    )
    text = writers.markdown(table)
    assert "| offset |" in text and "Columns after RWF are not the paper's" in text


@pytest.fixture
def table(four):
    rows = four(plain=[26.0, 28.0], aa=[26.1, None], wn=[25, 27], rwf=[26.5, 28.6])
    return tables.build(specs.table_spec("table_6"), rows)


def test_markdown_has_one_width_and_resolves_its_footnotes(table):
    text = writers.markdown(table)
    grid = [re.split(r"(?<!\\)\|", row)[1:-1] for row in text.splitlines() if row.startswith("|")]
    assert {len(row) for row in grid} == {10} and len(grid) == 2 + 3
    assert "**27.55±1.05**<br>(28.08±4.34)" in text
    used = {int(number) for number in re.findall(r"<sup>(\d+)</sup>", text)}
    listed = {int(number) for number in re.findall(r"^(\d+)\. ", text, flags=re.MULTILINE)}
    assert used == listed != set()


def test_terminal_columns_are_aligned(table):
    rows = [row for row in writers.terminal(table).splitlines() if "±" in row]
    assert {row.index("±") for row in rows} == {rows[0].index("±")}


def test_csv_holds_the_raw_numbers(table):
    rows = list(csv.DictReader(io.StringIO(writers.csv_of(table))))
    assert len(rows) == 15
    rwf = next(row for row in rows if row["label"] == "Gaussian" and row["parameterization"] == "rwf")
    assert float(rwf["ours"]) == pytest.approx(27.55) and float(rwf["paper"]) == 28.08
    plain = next(row for row in rows if row["label"] == "Gaussian" and row["parameterization"] == "plain")
    assert float(plain["difference"]) == pytest.approx(0.55) and plain["common_items"] == "2"
    assert (plain["verdict"], plain["reason"], plain["p"], rwf["verdict"]) == (
        "undecided",
        "one seed",
        "",
        "",
    )
    percent = csv.DictReader(io.StringIO(writers.csv_of(tables.build(specs.table_spec("table_10"), []))))
    assert float(next(percent)["paper"]) == 0.2882  # stored units, not per cent


def test_csv_holds_raw_and_adjusted_p_values(make_row):
    rows = seeds(make_row, plain=25, aa=24, wn=27)
    rows += [
        make_row("rwf", seed, items=("a", "b", "c"), metrics={"psnr": (26.0, 27.0 + 0.05 * seed, 28.1)})
        for seed in range(3)
    ]
    rows += [replace(row, embedding="none", metrics={"psnr": (20.0, 21.0, 22.0)}) for row in rows]
    found = list(csv.DictReader(io.StringIO(writers.csv_of(tables.build(specs.table_spec("table_6"), rows)))))
    plain = {row["label"]: row for row in found if row["parameterization"] == "plain"}
    p, adjusted = float(plain["Gaussian"]["p"]), float(plain["Gaussian"]["p_holm"])
    assert 0 < p < 0.01 and adjusted == pytest.approx(2 * p) and plain["Gaussian"]["verdict"] == "better"
    assert (
        plain["No mapping"]["verdict"] == "equivalent" and plain["No mapping"]["p_equivalence_holm"] == "0.0"
    )


def test_latex_is_balanced_and_escaped(table):
    text = renderers.latex(writers.grid(table))
    body = [row for row in text.splitlines() if "&" in row]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in body} == {9}
    assert text.count(r"\begin{") == text.count(r"\end{")
    bare = re.sub(r"\\[%_&#$]|\\textsuperscript|\$[^$]*\$", "", text)
    assert not re.search(r"[±×−↑↓]", text) and "_" not in bare.replace("tab:table-6", "")
    assert not re.search(r"(?<!\\)%", text)
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_command_prints_and_writes(tmp_path, four, capsys):
    add_rows(tmp_path / "results", four(plain=[26.0, 28.0], aa=[26, 28], wn=[25, 27], rwf=[26.5, 28.6]))
    folders = [f"--{name}={tmp_path / name}" for name in ("runs", "output", "results")]
    assert make_table.main(["table_6", *folders]) == 0
    assert "27.55 ± 1.05*" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "output").iterdir()) == [
        "table_6.csv",
        "table_6.md",
        "table_6.tex",
    ]
    assert make_table.main(["table_6", *folders, "--profile", "smoke"]) == 0
    assert "27.55" not in capsys.readouterr().out  # the rows are of the paper's profile
    assert make_table.main(["study_depth", *folders]) == 0
    assert "pending" in capsys.readouterr().out
    assert make_table.main(["table_22"]) == 1
    assert "nothing named 'table_22'" in capsys.readouterr().err


def test_published_values_stand_beside_ones_own_and_where_there_are_none(four, make_row):
    published = four(plain=[26.0, 28.0], aa=[26, 28], wn=[25, 27], rwf=[26.5, 28.6])
    published += [replace(row, id=f"{row.id}-none", embedding="none") for row in published]
    paper = [replace(row, profile="paper", reduced=None, metrics={"psnr": (39.0, 41.0)}) for row in published]
    own = [make_row(name, items=("0", "1"), metrics={"psnr": (20.0, 22.0)}) for name in ("plain", "rwf")]
    table = tables.build(specs.table_spec("table_6"), own, [*published, *paper])
    without, _, gaussian = table.lines
    ours = [gaussian.entries[name].ours for name in PARAMETERIZATIONS]
    assert [one and one.mean for one in ours] == [21.0, None, None, 21.0]
    assert [gaussian.entries[name].published.mean for name in PARAMETERIZATIONS] == [27, 27, 26, 27.55]
    assert without.entries["rwf"].ours.mean == 40.0  # the best of what is published
    assert without.entries["rwf"].published is None and without.marks[0].word == "published"
    assert gaussian.marks[-1].explanation == "published values are of 1 seed, a processor, 1 core"
    other = [replace(row, reduced="less", data={**row.data, "name": "others"}) for row in published]
    mark = tables.build(specs.table_spec("table_6"), own, other).lines[GAUSSIAN].marks[-1]
    assert mark.explanation.endswith("1 core; with others; with less")
    for text in (writers.terminal(table), writers.markdown(table), renderers.latex(writers.grid(table))):
        assert len(re.findall(r"published\W+2[67]", text)) == 4
    (row,) = [
        row
        for row in csv.DictReader(io.StringIO(writers.csv_of(table)))
        if row["published"] and row["parameterization"] == "rwf"
    ]
    assert float(row["ours"]) == 21.0 and float(row["published"]) == pytest.approx(27.55)


def test_a_published_table_says_nothing_of_publishing(four):
    rows = four(plain=[26.0, 28.0], aa=[26, 28], wn=[25, 27], rwf=[26.5, 28.6])
    table = tables.build(specs.table_spec("table_6"), rows)
    assert "published" not in writers.markdown(table) + writers.terminal(table) + writers.csv_of(table)


def test_a_precision_other_than_float32_is_marked_and_float32_rows_are_preferred(make_row):
    exact = [make_row(name, precision="float32") for name in ("plain", "rwf")]
    faster = [replace(row, precision="tensorfloat32", id=f"{row.id}-t",
                                  variant=("trainer.precision=tensorfloat32",)) for row in exact]  # fmt: skip
    cells = [row.cell for row in exact]
    assert [row.cell for row in faster] == cells
    for rows, wanted in (
        (faster, "tensorfloat32"),
        ([*faster, *exact], "float32"),
        ([*exact, *faster], "float32"),
    ):
        chosen = selection.best_source(rows, cells)
        assert {row.precision for found in chosen.values() for row in found} == {wanted}
    assert [mark.word for mark in tables.source_marks(faster[0]) if mark.word == "TF32"] == ["TF32"]
    assert not [mark for mark in tables.source_marks(exact[0]) if mark.word == "TF32"]
