"""What is published: every current row at the paper's scale is the run that the code composes for it today."""

import re
from pathlib import Path

import pytest

from experiments.config.compose import configure
from experiments.config.protocols import protocol_of
from experiments.records import read_rows
from experiments.running.run import identity
from experiments.task import Source

ROWS = sorted((Path(__file__).resolve().parents[1] / "results" / "paper" / "rows").glob("*.jsonl"))


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_published_rows_are_the_runs_of_todays_configs(path):
    rows = read_rows(path)
    for row in rows:
        first, seeds = re.search(r"-s(\d+)(?:x(\d+))?-", row.id).groups(default="1")
        words = [*row.exact_cell.overrides, f"profile={row.profile}", f"seed={first}", f"seeds={seeds}"]
        source = Source(row.data["name"], row.data["checksum"], row.stand_in)
        assert identity(configure(words), source) == row.id
    assert {row.protocol for row in rows} == {protocol_of(path.stem)}
