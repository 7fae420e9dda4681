"""The checker must recognise each known variant and nothing else; the page that describes it must run."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

from rwf.check import diagnose

PAGE = Path(__file__).parents[2] / "docs" / "check_your_implementation.md"


def product(scale, v):
    return scale * v


def exponential(scale, v):
    return np.exp(scale) * v


def make(seed, log_scale=True, divide=True, mean=1.0, std=0.1, exponentiate=True, gain=1.0):
    """Initial factors of an implementation with the given peculiarities, in NumPy."""

    def init(key, shape):
        rng = np.random.default_rng(seed)
        kernel = gain * rng.standard_normal(shape) / np.sqrt(shape[0])
        z = rng.normal(mean, std, shape[1])
        multiplier = np.exp(z) if exponentiate else z
        return (z if log_scale else multiplier), kernel / multiplier if divide else kernel

    return init


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("mean", "std"), [(1.0, 0.1), (2.0, 0.01), (0.5, 0.1), (1.0, 1.0)])
@pytest.mark.parametrize("gain", [1.0, 0.03])
def test_listing_2_agrees(seed, mean, std, gain):
    init = make(seed, log_scale=False, mean=mean, std=std, gain=gain)
    diagnosis = diagnose(init, product, mean=mean, std=std)
    assert diagnosis.agrees, str(diagnosis)
    assert diagnosis.trained == "scale" and diagnosis.divided


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("peculiarity", "kernel", "words"),
    [
        ({}, exponential, ["exponent is trained"]),
        ({"divide": False}, exponential, ["exponent is trained", "2.7 times too large"]),
        ({"log_scale": False, "divide": False}, product, ["not divided"]),
        ({"log_scale": False, "std": np.sqrt(0.1)}, product, ["taken as a variance"]),
        ({"log_scale": False, "std": 0.01}, product, ["taken as a square root"]),
        ({"log_scale": False, "exponentiate": False}, product, ["exponential is missing"]),
        ({"log_scale": False, "mean": 0.5}, product, ["mean 0.5"]),
        ({"log_scale": False, "std": 0.2}, product, ["std 0.2|std 0.19"]),
    ],
)
def test_each_peculiarity_is_named(seed, peculiarity, kernel, words):
    problems = diagnose(make(seed, **peculiarity), kernel).problems
    assert len(problems) == len(words), problems
    for problem, word in zip(problems, words, strict=True):
        assert re.search(word, problem)


def test_shapes_and_axes_that_do_not_fit():
    init = make(0, log_scale=False)
    with pytest.raises(ValueError, match="transpose"):
        diagnose(lambda key, shape: (init(key, shape)[0], init(key, shape)[1].T), lambda s, v: v)
    with pytest.raises(ValueError, match="one for each"):
        diagnose(lambda key, shape: (np.ones(shape[0]), init(key, shape)[1]), lambda s, v: s[:, None] * v)
    with pytest.raises(ValueError, match="axes"):
        diagnose(init, lambda s, v: s[: v.shape[0], None] * v)
    with pytest.raises(ValueError, match="not zero"):
        diagnose(make(0, log_scale=False, std=0.0), product, std=0.0)


def test_the_page_runs_and_prints_what_it_says():
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "text"] * 2
    namespace = {}
    for (_, code), (_, expected) in zip(blocks[::2], blocks[1::2], strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
        assert printed.getvalue() == expected
