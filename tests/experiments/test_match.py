"""The control matched by measured steps: the search on known curves, and the command on a small run."""

import math

import pytest

from experiments import match
from experiments.config.build import ConfigError


@pytest.mark.parametrize("exponent", [1.0, 0.7, 0.4])
def test_the_search_finds_the_rate_whose_steps_match(exponent):
    """Steps that grow as a power of the rate: target / steps = (wanted / factor)^exponent."""

    def ratio(x):
        return math.exp(exponent * (2.0 - x))

    x, found = match.matched(ratio, ratio(0.0))
    assert abs(found - 1) <= match.CLOSE and abs(x - 2.0) <= 2 * match.CLOSE / exponent


def test_steps_that_saturate_are_matched_where_they_can_be():
    def ratio(x):
        return 2.0 / (3 * (1 - math.exp(-math.exp(x) / 3)))

    x, _ = match.matched(ratio, ratio(0.0))
    assert math.isclose(3 * (1 - math.exp(-math.exp(x) / 3)), 2.0, rel_tol=0.02)


def test_what_no_rate_matches_is_one_line():
    with pytest.raises(ConfigError, match="no learning rate of Plain was found"):
        match.matched(lambda x: 2.0, 2.0)


def test_the_command_prints_the_words_of_the_control(capsys):
    words = ["experiment=regression_1d", "profile=smoke", "--steps", "10"]
    assert match.main(words) == 0
    printed = capsys.readouterr().out
    factor = float(printed.partition("learning rate times ")[2].split()[0])
    assert (
        1.5 < factor < 5
        and f"parameterization=plain_lr optimizer.log_scale={math.log(factor):.2f}"[:-1] in printed
    )
