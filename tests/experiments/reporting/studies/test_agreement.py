"""Agreement with the first choice, from means that are known."""

import dataclasses

import pytest

from experiments.reporting.studies import study as studies
from experiments.reporting.studies.agreement import agreements

STUDY = studies.read_study("precision_ct")
COLUMNS = ("plain", "aa", "wn", "rwf", "plain_lr")


def rows(make_row, settings, values, collapsed=(), **own):
    """A row for each column, its two items at the column's value."""
    return [
        make_row(
            name,
            variant=settings,
            metrics={"psnr": (value, value)},
            collapsed=(name in collapsed, False),
            **own,
        )
        for name, value in zip(COLUMNS, values, strict=True)
    ]


def verdicts(make_row, study, *choices):
    own = {"experiment": "ct_shepp"}
    found = rows(make_row, (), (30.0, 31.0, 32.0, 33.0, 34.0), **own)
    for precision, values, collapsed in choices:
        found += rows(
            make_row, (f"trainer.precision={precision}",), values, collapsed, precision=precision, **own
        )
    grid = agreements(study, studies.table(study, "quick", found))
    assert len(grid.head) == len(COLUMNS) + 2
    return [(row[-1].text, row[-1].below) for row in grid.rows]


@pytest.mark.parametrize(
    ("last", "collapsed", "expected"),
    [
        (34.09, (), ("yes", ())),
        (33.91, (), ("yes", ())),
        (34.11, (), ("no", ("Plain, rate × e^μ",))),
        (34.0, ("rwf",), ("no", ("RWF",))),
    ],
)
def test_every_column_has_to_be_within_the_tolerance(make_row, last, collapsed, expected):
    choice = ("tensorfloat32_emulated", (30.05, 30.95, 32.0, 33.0, last), collapsed)
    found = verdicts(make_row, STUDY, choice)
    assert found[0] == expected
    assert found[1] == ("pending", ())  # bfloat16 has no rows


def test_a_tolerance_above_one_is_a_factor(make_row):
    study = dataclasses.replace(STUDY, agreement=1.1)
    same = ("tensorfloat32_emulated", (32.0, 31.0, 32.0, 31.0, 34.0), ())
    other = ("bfloat16_emulated", (30.0, 27.0, 32.0, 33.0, 34.0), ())
    assert verdicts(make_row, study, same, other) == [("yes", ()), ("no", ("AA",))]
