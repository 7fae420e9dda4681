"""What is announced of runs, from first steps whose times are known."""

from types import SimpleNamespace

import pytest

from experiments.comparison import timing
from experiments.comparison.timing import MARGIN, Pace, announced


@pytest.mark.parametrize(("at_a_time", "expected"), [(1, 2 * (2 + 600 * 0.1)), (2, 2 + 600 * 0.1)])
def test_every_seed_and_group_counts(monkeypatch, at_a_time, expected):
    asked = []

    def pace(run, launcher, every, beside):
        asked.append(beside)
        return Pace(process=1.0, start=2.0, step=0.1, groups=2)

    monkeypatch.setattr(timing, "pace", pace)
    runs = [SimpleNamespace(steps=100, seeds=3)] * 2
    launcher = SimpleNamespace(at_a_time=lambda: at_a_time)
    assert announced(runs, launcher, 10) == pytest.approx(MARGIN * (1 + expected))
    assert asked == [at_a_time]  # as many side by side as will train
