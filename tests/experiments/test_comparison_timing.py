"""What is announced of runs, from first steps whose times are known."""

from types import SimpleNamespace

import pytest

from experiments import compare
from experiments.command import exit_code
from experiments.comparison import timing
from experiments.comparison.timing import MARGIN, Pace, announced
from experiments.running.messages import Failed, Stopped
from experiments.training import walltime


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


@pytest.mark.parametrize(
    ("ending", "code", "says"),
    [(Stopped("stopped in time at step 3 of 20"), walltime.EXIT_CODE, "the same command goes on from there"),
     (Failed("no luck"), 2, "config error: the first steps could not be taken: no luck")],
)  # fmt: skip
def test_time_that_is_up_is_no_wrong_setting(ending, code, says, capsys):
    def carry_out(work, logs, report):
        for part in work:
            report(part[0], ending)

    words = ("experiment=regression_1d", "parameterization=plain", "profile=smoke", "tracking=none")
    launcher = SimpleNamespace(at_a_time=lambda: 1, carry_out=carry_out)
    assert exit_code(lambda: announced(compare.checked_plan([words]), launcher, 10)) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
