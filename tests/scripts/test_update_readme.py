"""The README's tables: the paper's scale and short runs apart, each dated by its own rows, with what was run alone."""

from dataclasses import replace

from experiments.reporting.tables import specs, table
from scripts.update_readme import blocks
from tests.experiments.conftest import _make_row


def shown(rows):
    return blocks(table.build(specs.table_spec("table_1"), rows))


def test_the_papers_scale_and_short_runs_stand_apart():
    rows = [_make_row(name, date=f"2026-11-2{day}") for day, name in enumerate(("plain", "aa", "wn", "rwf"))]
    other = _make_row("rwf", experiment="regression_1d", date="2027-01-01")
    whole = [
        replace(row, experiment="image_text", profile="paper", reduced=None, date="2026-12-01")
        for row in rows
    ]
    paper, short = shown([*rows, other, *whole]).split("\n\n**")
    assert paper.startswith("**At the paper's scale**: 1 of 12 benchmarks, rows of 2026-12-01.\n\n|")
    assert ": 1 of 12 benchmarks, rows of 2026-11-20 to 2026-11-23.\n" in short and short.startswith("Short")
    assert "\n| Text<br>" in paper and "\n| Natural<br>" in short
    assert "Natural" not in paper and "Text" not in short and "Dragon" not in paper + short
    assert "undecided against Plain, pending against the control" in paper
    assert "| 27.35,\u00a028.08 |" in short and "| 27.00 | 27.00 | pending |" in short


def test_without_rows_there_is_no_table():
    assert shown([]).count(": 0 of 12 benchmarks.") == 2 and "|" not in shown([])
