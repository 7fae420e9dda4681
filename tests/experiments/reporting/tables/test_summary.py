"""What is said over the rows of a table."""

from experiments.reporting.tables import specs, writers
from experiments.reporting.tables import table as tables
from experiments.reporting.tables.summary import summary


def test_claims_and_sources_are_counted_by_name(four):
    plain = [20.0, 22.0, 24.0, 26.0]
    better, best = ([value + more for value in plain] for more in (1, 2))
    rows = four(plain=plain, aa=plain, wn=best, rwf=better)
    text = {"experiment": "image_text", "reduced": None, "profile": "paper"}
    rows += four(plain=better, aa=plain, wn=plain, rwf=plain, changes=text)
    stand_in = {"name": "a", "checksum": "c", "stand_in": "b"}
    rows += four(
        plain=plain, aa=plain, wn=plain, rwf=plain, changes={"experiment": "ct_atlas", "data": stand_in}
    )
    table = tables.build(specs.table_spec("table_1"), rows)
    waiting = "pending in 9 (Dragon, Armadillo, Shepp, Lego, Advection, Navier-Stokes, DR, Darcy, Burgers)"
    assert summary(table) == [
        "RWF better than Plain, 12 rows: holds in 1 (Natural); does not hold in 1 (Text); undecided in 1 (ATLAS); "
        f"{waiting}.",
        "RWF better than the best of the other three, 12 rows: holds in 0; does not hold in 2 (Natural, Text); "
        f"undecided in 1 (ATLAS); {waiting}.",
        "Rows by setting and data: paper scale, real data in 1 (Text); paper scale, stand-in data in 0; "
        f"reduced, real data in 1 (Natural); reduced, stand-in data in 1 (ATLAS); {waiting}.",
    ]
    assert summary(table)[1] in writers.markdown(table) and "pending in 9" in writers.latex(table)
    assert summary(table)[0] in writers.terminal(table).replace("\n", " ")


def test_lines_of_one_label_are_told_apart_and_timings_say_nothing(four):
    assert "Shepp: Gaussian, ATLAS: No mapping" in summary(tables.build(specs.table_spec("table_8"), []))[0]
    assert summary(tables.build(specs.table_spec("table_5"), four(plain=[1], rwf=[1]))) == []


def test_the_control_has_a_claim_of_its_own_where_it_was_run(four):
    rows = four(plain=[20.0, 22.0, 24.0], aa=[20, 22, 24], wn=[20, 22, 24], rwf=[21.0, 23.0, 25.0])
    beaten, ahead = four(plain_lr=[20.0, 22.1, 23.9]), four(plain_lr=[22.0, 24.1, 25.9])
    without, won, lost = (
        summary(tables.build(specs.table_spec("table_6"), rows + control)) for control in ([], beaten, ahead)
    )
    assert not any("learning rate" in sentence for sentence in without)
    start = "RWF better than Plain with its learning rate times e^μ, 3 rows: holds in "
    assert won[2].startswith(start + "1 (Gaussian); does not hold in 0;")
    assert lost[2].startswith(start + "0; does not hold in 1 (Gaussian);")
