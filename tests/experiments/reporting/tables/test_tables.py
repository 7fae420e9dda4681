"""Which rows a table takes, what it says about them, and how it is written."""

import csv
import io
import re

import pytest

from experiments.records import add_rows
from experiments.reporting.tables import specs, writers
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
    assert found.interval.mean == pytest.approx(0.55) and found.interval.n == 2
    assert (found.units, found.verdict) == ("n = 2 items", "undecided")  # two items, t = 12.7


def test_verdict_is_against_plain_and_against_the_best_of_the_others(four):
    plain = [20.0, 22.0, 24.0, 26.0]
    rwf = [value + 1 for value in plain]
    better = [value + 2 for value in plain]
    worse = [value - 1 for value in plain]
    assert line(four(plain=plain, aa=worse, wn=worse, rwf=rwf)).verdict == "holds"
    assert line(four(plain=plain, aa=worse, wn=better, rwf=rwf)).verdict == (
        "holds against Plain, does not hold against WN"
    )
    assert line(four(plain=plain, aa=worse, wn=better, rwf=worse)).verdict == "does not hold"
    assert line(four(plain=plain, aa=plain, wn=plain, rwf=plain)).verdict == "undecided"
    one = four(plain=[20], aa=[20], wn=[20], rwf=[25])
    assert (line(one).verdict, line(one).units) == ("undecided", "n = 1 seed")


def test_rows_of_different_profiles_data_or_precision_are_never_mixed(four):
    quick = four(plain=[1, 1], aa=[1, 1], wn=[1, 1], rwf=[1, 1])
    for changes in (
        {"profile": "smoke", "reduced": None},
        {"data": {"name": "other", "checksum": "c1", "stand_in": "DIV2K crops"}},
        {"precision": "tensorfloat32", "date": "2020-01-01T00:00:00+00:00"},
    ):
        other = four(plain=[9, 9], aa=[9, 9], wn=[9, 9], rwf=[9, 9], changes=changes)
        found = line(other + quick)
        assert {entry.ours.mean for entry in found.entries.values()} == {1.0}
        # With one column missing from the preferred source, the complete one is shown rather than a mixture.
        found = line(other + quick[1:])
        assert {entry.ours.mean for entry in found.entries.values()} == {9.0}


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
    assert [entry.ours is None for entry in table.lines[GAUSSIAN].entries.values()] == [True] * 4
    assert table.lines[0].verdict == "pending" and words(table.lines[0])[0] == "pending"
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
    assert (found.units, found.verdict) == ("n = 3 seeds", "holds")
    assert writers.difference_text(found) == "×0.10 error [0.10, 0.10]"


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
    assert (found.verdict, found.units) == (
        "undecided",
        "n = 1 seed",
    )  # one network, however many test functions


def test_diverged_runs_are_counted_and_decide_nothing(four):
    lost_one = line(four(plain=[1, 1, 1], aa=[1, None, 1], wn=[1, 1, 1], rwf=[2, 2.1, 2.2]))
    assert lost_one.entries["aa"].diverged == 1 and lost_one.verdict == "holds"
    assert next(mark for mark in lost_one.marks if mark.word == "diverged").explanation.startswith(
        "AA 1 of 3"
    )
    lost_rwf = line(four(plain=[1, 1, 1], aa=[1, 1, 1], wn=[1, 1, 1], rwf=[2, 2, None]))
    assert lost_rwf.verdict == "undecided (RWF diverged)"
    all_gone = line(four(plain=[None, None], aa=[1, 1], wn=[1, 1], rwf=[2, 2]))
    assert all_gone.verdict == "undecided (Plain diverged)" and all_gone.interval is None
    assert "diverged" in writers.markdown(
        tables.build(specs.table_spec("table_6"), four(plain=[None], rwf=[1]))
    )


def test_marks_say_where_numbers_come_from(four):
    data = {"name": "photographs", "checksum": "c", "stand_in": "DIV2K crops"}
    found = line(four(plain=[1], aa=[1], wn=[1], rwf=[1], changes={"protocol": 0, "data": data}))
    assert words(found) == ["stale", "reduced", "stand-in", "note"]
    assert [mark.explanation for mark in found.marks][1:3] == [
        "profile quick: 64x64 pixels, 500 steps",
        "photographs in place of DIV2K crops",
    ]
    uneven = four(plain=[1, 1], aa=[1, 1], wn=[1, 1]) + four(rwf=[2])
    assert "uneven" in words(line(uneven)) and line(uneven).interval.n == 1
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
    assert "2.00±1.50<br><sub>median 1.20</sub><br>(2.03±1.54)" in writers.markdown(table)
    assert "2.00 ± 1.50, median 1.20" in writers.terminal(table)
    assert "over the test functions of one trained network" in writers.legend(table)
    found = {
        row["parameterization"]: row
        for row in csv.DictReader(io.StringIO(writers.csv_text(table)))
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
    assert "RWF better?" not in writers.markdown(table)


def test_control_column_only_where_it_was_run(four):
    rows = four(plain=[1, 2], aa=[1, 2], wn=[1, 2], rwf=[2, 3])
    assert "rate × e^μ" not in writers.markdown(tables.build(specs.table_spec("table_6"), rows))
    table = tables.build(specs.table_spec("table_6"), rows + four(plain_lr=[9, 9]))
    assert list(table.columns)[-1] == "plain_lr" and "plain_lr" not in table.lines[0].entries
    assert not table.lines[GAUSSIAN].entries["plain_lr"].best  # bold is among the paper's four
    for text in (writers.markdown(table), writers.terminal(table), writers.latex(table)):
        assert "9.00" in text and "rate" in text
    assert "a control that the paper lacks" in writers.markdown(table)


def test_a_parameterization_of_ones_own_has_a_column_by_its_name(four):
    rows = four(plain=[1, 2], aa=[1, 2], wn=[1, 2], rwf=[2, 3])
    table = tables.build(specs.table_spec("table_6"), rows + four(offset=[9, None]))
    line = table.lines[GAUSSIAN]
    assert list(table.columns) == ["plain", "aa", "wn", "rwf", "offset"]
    assert not line.entries["offset"].best and "offset" not in line.verdict
    text = writers.markdown(table)
    assert "| offset |" in text and "Columns after RWF are not the paper's" in text and "control" not in text


@pytest.fixture
def table(four):
    rows = four(plain=[26.0, 28.0], aa=[26.1, None], wn=[25, 27], rwf=[26.5, 28.6])
    return tables.build(specs.table_spec("table_6"), rows)


def test_markdown_has_one_width_and_resolves_its_footnotes(table):
    text = writers.markdown(table)
    grid = [re.split(r"(?<!\\)\|", row)[1:-1] for row in text.splitlines() if row.startswith("|")]
    assert {len(row) for row in grid} == {8} and len(grid) == 2 + 3
    assert "**27.55±1.05**<br>(28.08±4.34)" in text
    used = {int(number) for number in re.findall(r"<sup>(\d+)</sup>", text)}
    listed = {int(number) for number in re.findall(r"^(\d+)\. ", text, flags=re.MULTILINE)}
    assert used == listed != set()


def test_terminal_columns_are_aligned(table):
    rows = [row for row in writers.terminal(table).splitlines() if "±" in row]
    assert {row.index("±") for row in rows if "pending" not in row} == {rows[0].index("±")}


def test_csv_holds_the_raw_numbers(table):
    rows = list(csv.DictReader(io.StringIO(writers.csv_text(table))))
    assert len(rows) == 12
    rwf = next(row for row in rows if row["label"] == "Gaussian" and row["parameterization"] == "rwf")
    assert float(rwf["ours"]) == pytest.approx(27.55) and float(rwf["paper"]) == 28.08
    assert float(rwf["rwf_minus_plain"]) == pytest.approx(0.55) and rwf["n"] == "2"
    percent = csv.DictReader(io.StringIO(writers.csv_text(tables.build(specs.table_spec("table_10"), []))))
    assert float(next(percent)["paper"]) == 0.2882  # stored units, not per cent


def test_latex_is_balanced_and_escaped(table):
    text = writers.latex(table)
    body = [row for row in text.splitlines() if "&" in row]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in body} == {7}
    assert text.count(r"\begin{") == text.count(r"\end{")
    bare = re.sub(r"\\[%_&#$]|\\textsuperscript|\$[^$]*\$", "", text)
    assert not re.search(r"[±×−↑↓]", text) and "_" not in bare.replace("tab:table-6", "")
    assert not re.search(r"(?<!\\)%", text)
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_command_prints_and_writes(tmp_path, four, capsys):
    add_rows(tmp_path / "results", four(plain=[26.0, 28.0], aa=[26, 28], wn=[25, 27], rwf=[26.5, 28.6]))
    words = ["table_6", "--results", str(tmp_path / "results"), "--output", str(tmp_path / "out")]
    assert make_table.main(words) == 0
    assert "27.55 ± 1.05*" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "table_6.csv",
        "table_6.md",
        "table_6.tex",
    ]
    assert make_table.main([*words[:3], "--profile", "smoke"]) == 0
    assert "27.55" not in capsys.readouterr().out  # the rows are of the paper's profile
    assert make_table.main(["study_depth", *words[1:3]]) == 0
    assert "Pending" in capsys.readouterr().out
    assert make_table.main(["table_22"]) == 1
    assert "nothing named 'table_22'" in capsys.readouterr().err
