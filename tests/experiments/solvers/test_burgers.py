"""Burgers' equation against the Cole-Hopf solution, conservation laws, and its orders of convergence."""

import numpy as np
import pytest

from experiments.files import load_arrays
from experiments.solvers import burgers
from experiments.solvers.__main__ import main
from experiments.solvers.random_fields import periodic, stream


def cole_hopf(initial, x: np.ndarray, t: float, viscosity: float, points: int = 4000) -> np.ndarray:
    """u(x, t) for `initial`, a periodic function of zero mean, by quadrature of the heat kernel.

    u = ∫ (x − y) / t exp(−G) dy / ∫ exp(−G) dy with G = [∫₀^y a + (x − y)² / (2 t)] / (2 ν); the trapezoidal
    rule over three periods is spectrally accurate. The antiderivative comes from the Fourier series of a.
    """
    y = np.arange(-points, 2 * points) / points
    spectrum = np.fft.rfft(initial(np.arange(points) / points))
    wave = 2 * np.pi * np.arange(len(spectrum))
    spectrum[1:] /= 1j * wave[1:]
    spectrum[0] = 0.0
    potential = np.tile(np.fft.irfft(spectrum, points), 3)
    exponent = -(potential + (x[:, None] - y) ** 2 / (2 * t)) / (2 * viscosity)
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return ((x[:, None] - y) / t * weight).sum(axis=1) / weight.sum(axis=1)


def wave_initial(x):
    return 0.4 * np.sin(2 * np.pi * x) + 0.2 * np.cos(4 * np.pi * x)


@pytest.mark.parametrize("viscosity", [1e-3, 1e-2])
def test_cole_hopf_solution_through_the_shock(viscosity):
    points = 500
    x = np.arange(points) / points
    found = burgers.solve(wave_initial(x)[None], viscosity=viscosity, step=1e-3, snapshots=5)[0]
    assert np.abs(np.gradient(found[:, -1], 1 / points)).max() > (40 if viscosity == 1e-3 else 4)
    for n, t in enumerate(np.linspace(0, 1, 5)[1:], 1):
        np.testing.assert_allclose(found[:, n], cole_hopf(wave_initial, x, t, viscosity), atol=2e-5)


def test_command_writes_cole_hopf_solutions(tmp_path):
    main(["burgers", "--functions", "2", "--seed", "5", "--output", str(tmp_path / "burgers.npz")])
    data, _ = load_arrays(tmp_path / "burgers.npz")
    shapes = {name: array.shape for name, array in data.items()}
    assert shapes == {"x": (100,), "t": (101,), "initial": (2, 100), "u": (2, 100, 101)}
    for k in range(2):

        def initial(x, k=k):
            return periodic(stream(5, "burgers/test"), 2, x)[k]

        np.testing.assert_allclose(data["initial"][k], initial(data["x"]), atol=1e-12)
        np.testing.assert_array_equal(data["initial"][k], data["u"][k, :, 0])
        for n in (1, 50, 100):
            exact = cole_hopf(initial, data["x"], data["t"][n], 1e-3)
            np.testing.assert_allclose(data["u"][k, :, n], exact, atol=1e-7)


def test_fourth_order_in_time():
    x = np.arange(256) / 256
    exact = cole_hopf(wave_initial, x, 1.0, 0.01)
    errors = []
    for step in (0.02, 0.01, 0.005):
        found = burgers.solve(wave_initial(x)[None], viscosity=0.01, step=step, snapshots=2)[0, :, -1]
        errors.append(np.abs(found - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all((orders > 3.5) & (orders < 4.8)), (errors, orders)


def test_spectral_in_space():
    errors = []
    for points in (32, 64, 128):
        x = np.arange(points) / points
        found = burgers.solve(wave_initial(x)[None], viscosity=0.01, step=1e-3, snapshots=2)[0, :, -1]
        errors.append(np.abs(found - cole_hopf(wave_initial, x, 1.0, 0.01)).max())
    assert errors[1] < 1e-3 * errors[0] and errors[2] < 1e-10, errors


def test_pure_diffusion_of_small_amplitudes():
    x = np.arange(64) / 64
    found = burgers.solve(1e-9 * np.sin(4 * np.pi * x)[None], step=1e-2, snapshots=11)[0] / 1e-9
    decay = np.exp(-1e-3 * (4 * np.pi) ** 2 * np.linspace(0, 1, 11))
    np.testing.assert_allclose(found, np.sin(4 * np.pi * x)[:, None] * decay, atol=1e-7)


def test_mean_is_conserved_and_energy_decays():
    u = burgers.solve(burgers.initial_conditions(4, 0, "test", 400) + 0.1, step=1e-3, snapshots=11)
    np.testing.assert_allclose(u.mean(axis=1), 0.1, atol=1e-12)
    assert np.all(np.diff(np.sum(u**2, axis=1), axis=1) < 0)


def test_functions_do_not_touch_each_other_across_blocks(monkeypatch):
    initial = burgers.initial_conditions(5, 0, "test", 200)
    whole = burgers.solve(initial, step=1e-2, snapshots=3, viscosity=1e-2)
    monkeypatch.setattr(burgers, "BLOCK", 2)
    np.testing.assert_allclose(
        burgers.solve(initial, step=1e-2, snapshots=3, viscosity=1e-2), whole, atol=1e-13
    )


def test_train_and_test_initial_conditions_differ_and_have_the_documented_amplitude():
    train, test = (burgers.initial_conditions(1000, 0, split) for split in ("train", "test"))
    assert not np.any(train == test)
    assert train.std() == pytest.approx(0.2143, abs=0.015)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"not \(100,\)"):
        burgers.solve(np.zeros(100))
    with pytest.raises(ValueError, match="finite"):
        burgers.solve(np.full((1, 8), np.inf))
    with pytest.raises(ValueError, match=r"0\.003 does not divide"):
        burgers.solve(np.zeros((1, 8)), step=0.003)
    with pytest.raises(ValueError, match="multiple of the 100 sensors"):
        burgers.generate(1, fine=1024)
    with pytest.raises(ValueError, match="blows up"), np.errstate(all="ignore"):
        burgers.solve(1e6 * np.sin(2 * np.pi * np.arange(64) / 64)[None], step=1e-2)
