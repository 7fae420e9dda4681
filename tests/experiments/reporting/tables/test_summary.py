"""What is said over the rows of a table."""

from experiments.reporting.tables import specs, writers
from experiments.reporting.tables import table as tables
from experiments.reporting.tables.summary import summary

SEEDS = (0, 1, 2)


def over_seeds(four, **values):
    """Rows of three seeds, the values a little different in each."""
    changes = values.pop("changes", {})
    return [
        row
        for seed in SEEDS
        for row in four(
            **{name: [v + 0.01 * seed * (n + 1) for n, v in enumerate(own)] for name, own in values.items()},
            changes={**changes, "seed": seed, "id": f"seed {seed} {changes}"},
        )
    ]


PLAIN = [20.0, 22.0, 24.0, 26.0]


def test_verdicts_and_sources_are_counted_by_name(four):
    up, high = ([value + more for value in PLAIN] for more in (1, 2))
    rows = over_seeds(four, plain=PLAIN, aa=PLAIN, wn=high, rwf=up, plain_lr=up)
    text = {"experiment": "image_text", "reduced": None, "profile": "paper"}
    rows += over_seeds(four, plain=up, aa=PLAIN, wn=PLAIN, rwf=PLAIN, changes=text)
    stand_in = {"experiment": "ct_atlas", "data": {"name": "a", "checksum": "c", "stand_in": "b"}}
    rows += four(plain=PLAIN, aa=PLAIN, wn=PLAIN, rwf=PLAIN, changes=stand_in)
    table = tables.build(specs.table_spec("table_1"), rows)
    rest = "Dragon, Armadillo, Shepp, Lego, Advection, Navier-Stokes, DR, Darcy, Burgers)"
    waiting = f"pending in 9 ({rest}"
    assert summary(table) == [
        "RWF against Plain, 12 rows: better in 1 (Natural); equivalent in 0; worse in 1 (Text); "
        f"undecided in 1 (ATLAS); {waiting}.",
        "RWF against AA, 12 rows: better in 1 (Natural); equivalent in 1 (Text); worse in 0; "
        f"undecided in 1 (ATLAS); {waiting}.",
        "RWF against WN, 12 rows: better in 0; equivalent in 1 (Text); worse in 1 (Natural); "
        f"undecided in 1 (ATLAS); {waiting}.",
        "RWF against each of the three, 12 rows: better in 0; equivalent in 0; worse in 2 (Natural, Text); "
        f"undecided in 1 (ATLAS); {waiting}.",
        "RWF against the control, 12 rows: better in 0; equivalent in 1 (Natural); worse in 0; undecided in 0; pending "
        "in 11 (Text, Dragon, Armadillo, Shepp, ATLAS, Lego, Advection, Navier-Stokes, DR, Darcy, Burgers).",
        "Rows by setting and data: paper scale, real data in 1 (Text); paper scale, stand-in data in 0; "
        f"reduced, real data in 1 (Natural); reduced, stand-in data in 1 (ATLAS); {waiting}.",
    ]
    assert summary(table)[1] in writers.markdown(table)
    assert summary(table)[0] in writers.terminal(table).replace("\n", " ")


def test_lines_of_one_label_are_told_apart_and_timings_say_nothing(four):
    assert "Shepp: Gaussian, ATLAS: No mapping" in summary(tables.build(specs.table_spec("table_8"), []))[0]
    assert summary(tables.build(specs.table_spec("table_5"), four(plain=[1], rwf=[1]))) == []
