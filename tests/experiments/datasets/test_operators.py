"""Generated data sets are whole or made again: truncated files, two processes at once, wrong shapes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.datasets import operators
from experiments.solvers import burgers, darcy
from experiments.solvers import diffusion_reaction as dr

ROOT = Path(__file__).resolve().parents[3]
MAKERS = {
    "diffusion_reaction": lambda: operators.diffusion_reaction(4, 10, 2, 0),
    "darcy": lambda: operators.darcy(4, 2, 8, 0.3, 0),
    "burgers": lambda: operators.burgers(4, 2, 16, 0.01, 0.005, 0),
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_CACHE", str(tmp_path))
    return tmp_path


def assert_equal(left, right):
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].dtype == np.float32
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("name", MAKERS)
def test_a_truncated_file_is_made_again(cache, name):
    first = MAKERS[name]()
    files = sorted(cache.glob("*.npz"))
    assert files
    for file in files:
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
    assert_equal(MAKERS[name](), first)
    assert all(np.load(file) for file in files)


@pytest.mark.parametrize("name", MAKERS)
def test_a_flipped_bit_is_never_read(cache, name):
    first = MAKERS[name]()
    file = max(cache.glob("*.npz"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert_equal(MAKERS[name](), first)


def test_a_kept_file_is_not_solved_again(cache, monkeypatch):
    first = MAKERS["darcy"]()
    monkeypatch.setattr(darcy, "solve", None)
    assert_equal(MAKERS["darcy"](), first)


def test_two_processes_at_once_solve_each_part_once(cache):
    code = """
import sys
from experiments.datasets import operators
from experiments.files import arrays_checksum
from experiments.solvers import darcy
solve = darcy.solve
def counted(field):
    with open(sys.argv[1], "a") as file:
        file.write("solved\\n")
    return solve(field)
darcy.solve = counted
print(*(arrays_checksum(part) for part in operators.darcy(60, 60, 32, 0.3, 0)))
"""
    tally = cache / "tally"
    command = [sys.executable, "-c", code, str(tally)]
    both = [
        subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert outputs[0] == outputs[1] and outputs[0].strip()
    assert tally.read_text().count("solved") == 2  # training and test, by whoever came first


def test_another_number_of_sensors_is_refused(monkeypatch):
    arrays = {"source": np.zeros((4, 50)), "u": np.zeros((4, 10)), "x": np.zeros(100), "t": np.zeros(100)}
    monkeypatch.setattr(dr, "dataset", lambda *args, **options: (arrays, ""))
    with pytest.raises(ValueError, match=r"training data.*'source' has shape \(4, 50\), not \(4, 100\)"):
        operators.diffusion_reaction(4, 10, 2, 0)


def test_a_missing_array_is_named():
    with pytest.raises(ValueError, match="the test data has no array 'u', only x"):
        operators.check_shapes("test", {"x": np.zeros(3)}, u=(3,))


def test_burgers_functions_are_the_same_on_any_sensors(cache):
    coarse, fine = (operators.burgers(4, 2, sensors, 0.01, 0.005, 0) for sensors in (10, 100))
    for few, many in zip(coarse, fine, strict=True):
        np.testing.assert_allclose(few["initial"], many["initial"][:, ::10], atol=1e-6)
    test = fine[1]
    np.testing.assert_allclose(test["u"][:, 0], test["initial"], atol=1e-6)
    assert test["u"].shape == (2, 101, 100)


def test_the_coarse_step_of_smoke_is_accurate(cache):
    start = burgers.initial_conditions(2, 0, "test", 500)
    exact = burgers.solve(start, viscosity=0.01, step=1e-3, every=5)
    coarse = operators.burgers(4, 2, 16, 0.01, 0.005, 0)[1]["u"].swapaxes(1, 2)
    assert np.abs(coarse - exact).max() < 1e-3


def test_training_and_test_functions_are_different_streams(cache):
    train, test = operators.darcy(4, 4, 8, 0.3, 0)
    assert np.abs(train["coefficient"] - test["coefficient"]).max((1, 2)).min() > 1e-2
    train, test = operators.burgers(2, 2, 16, 0.01, 0.005, 0)
    assert np.abs(train["initial"] - test["initial"]).max(1).min() > 1e-2


def test_a_source_depends_on_its_name_and_choices():
    same = operators.generated("a", {"x": 1, "y": 2}), operators.generated("a", {"y": 2, "x": 1})
    assert same[0] == same[1] and same[0].stand_in is None
    assert len({operators.generated(n, {"x": x}).checksum for n in "ab" for x in (1, 2)}) == 4
