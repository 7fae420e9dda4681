"""Diffusion-reaction against manufactured solutions, a Fourier series, and a stiff ODE integrator."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from experiments.files import load_arrays
from experiments.solvers import diffusion_reaction as dr
from experiments.solvers.__main__ import main


def manufactured_error(points: int, diffusion: float = 0.05, reaction: float = 1.0) -> float:
    """Error for u = sin(πx) sin(2t) + t² x (1 − x) / 2, with the source that makes it a solution."""
    x, t = np.linspace(0, 1, points)[:, None], np.linspace(0, 1, points)
    u = np.sin(np.pi * x) * np.sin(2 * t) + 0.5 * t**2 * x * (1 - x)
    u_t = 2 * np.sin(np.pi * x) * np.cos(2 * t) + t * x * (1 - x)
    u_xx = -(np.pi**2) * np.sin(np.pi * x) * np.sin(2 * t) - t**2
    source = u_t - diffusion * u_xx - reaction * u**2
    found = dr.solve(source[None], times=points, diffusion=diffusion, reaction=reaction)[0]
    return np.abs(found - u).max()


def test_manufactured_solution_and_second_order():
    errors = [manufactured_error(points) for points in (26, 51, 101)]
    assert errors[-1] < 3e-4
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all((orders > 1.85) & (orders < 2.2)), (errors, orders)


def test_linear_case_is_the_fourier_series():
    x, t = np.linspace(0, 1, 100)[:, None], np.linspace(0, 1, 100)
    found = dr.solve(np.sin(2 * np.pi * x).T, diffusion=0.01, reaction=0.0)[0]
    decay = 0.01 * (2 * np.pi) ** 2
    np.testing.assert_allclose(found, np.sin(2 * np.pi * x) * (1 - np.exp(-decay * t)) / decay, atol=2e-4)


def test_random_sources_agree_with_a_stiff_integrator():
    source = dr.sources(3, seed=0, split="test")
    found = dr.solve(source, reaction=0.5)  # a stronger reaction than the paper's, so that its terms count
    h = 1 / 99

    def rate(_, inner, a):
        u = np.pad(inner, 1)
        return 0.01 * (u[:-2] - 2 * inner + u[2:]) / h**2 + 0.5 * inner**2 + a[1:-1]

    for a, u in zip(source, found, strict=True):
        exact = solve_ivp(
            rate, (0, 1), np.zeros(98), "LSODA", np.linspace(0, 1, 100), args=(a,), rtol=1e-9, atol=1e-11
        )
        assert np.linalg.norm(u[1:-1] - exact.y) < 1e-4 * np.linalg.norm(exact.y)


def test_paper_setting_is_converged():
    fine_source = np.stack(
        [np.interp(np.linspace(0, 1, 397), np.linspace(0, 1, 100), a) for a in dr.sources(4, 0, "test")]
    )
    fine = dr.solve(fine_source, times=397)[:, ::4, ::4]
    found = dr.generate(4, 0, "test")["u"]
    error = np.linalg.norm(found - fine, axis=(1, 2)) / np.linalg.norm(fine, axis=(1, 2))
    assert error.max() < 2e-3


def test_initial_and_boundary_values_and_shapes():
    data = dr.generate(3)
    np.testing.assert_array_equal(data["u"], dr.solve(data["source"], diffusion=0.01, reaction=0.01))
    assert data["u"].shape == (3, 100, 100) and data["source"].shape == (3, 100)
    assert not data["u"][:, :, 0].any() and not data["u"][:, [0, -1]].any()


def test_measurements_are_values_of_the_solutions():
    whole = dr.generate(300, 1, "train")
    some = dr.generate(300, 1, "train", measurements=7)
    np.testing.assert_array_equal(some["source"], whole["source"])
    expected = whole["u"][np.arange(300)[:, None], some["x_index"], some["t_index"]]
    np.testing.assert_array_equal(some["u"], expected)
    assert some["u"].shape == (300, 7) and some["x_index"].max() == 99 and some["t_index"].min() == 0


def test_train_and_test_differ_and_have_the_papers_length_scale():
    values = dr.sources(2000, 0, "test")
    correlation = np.mean(values[:, 40] * values[:, 60])  # 20 / 99 apart
    assert correlation == pytest.approx(np.exp(-((20 / 99) ** 2) / (2 * 0.2**2)), abs=0.08)
    assert not np.any(dr.sources(2, 0, "train") == dr.sources(2, 0, "test"))


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"not \(5, 100, 7\)"):
        dr.solve(np.zeros((5, 100, 7)))
    with pytest.raises(ValueError, match=r"not \(100,\)"):
        dr.solve(np.zeros(100))
    with pytest.raises(ValueError, match="finite"):
        dr.solve(np.full((1, 100), np.nan))
    with pytest.raises(ValueError, match="too large"):
        dr.solve(np.full((1, 100), 1e200))
    with pytest.raises(ValueError, match="too large"):
        dr.solve(np.full((1, 100), 10.0), reaction=100.0)


def test_command_writes_the_documented_arrays(tmp_path):
    main(["diffusion_reaction", "--functions", "2", "--seed", "3", "--output", str(tmp_path / "dr.npz")])
    arrays, _ = load_arrays(tmp_path / "dr.npz")
    np.testing.assert_array_equal(arrays["u"], dr.generate(2, 3)["u"])
    assert set(arrays) == {"x", "t", "source", "u"}
