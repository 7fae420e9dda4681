"""The README's table is dated by the rows it shows, and says what they are."""

from scripts.update_readme import block
from tests.experiments.reporting.conftest import _make_row


def test_the_block_is_dated_by_its_own_rows_and_sums_them_up():
    rows = [_make_row(name, date=f"2026-11-2{day}") for day, name in enumerate(("plain", "aa", "wn", "rwf"))]
    other = _make_row("rwf", experiment="regression_1d", date="2027-01-01")
    text = block([*rows, other])
    assert text.startswith("4 result rows of 2026-11-20 to 2026-11-23.\n\n**Table 1: ")
    assert "RWF better than Plain, 12 rows: holds in 0" in text
    assert "reduced, real data in 1 (Natural)" in text and "pending in 11 (Text," in text
    assert block([]).startswith("No result rows yet.")
    assert block(rows[:1]).startswith("1 result row of 2026-11-20.")
