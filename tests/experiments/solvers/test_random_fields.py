"""Random fields against their kernels and their Fourier series."""

import numpy as np
import pytest

from experiments.solvers import random_fields as fields


def covariance_error(samples: np.ndarray, kernel: np.ndarray) -> float:
    """Largest deviation of the sample covariance, in standard errors of a Gaussian sample."""
    empirical = samples.T @ samples / len(samples)
    variance = np.diag(kernel)
    return np.max(
        np.abs(empirical - kernel) / np.sqrt((np.outer(variance, variance) + kernel**2) / len(samples))
    )


def test_factor_reproduces_the_kernel():
    x = np.linspace(0.0, 1.0, 512)
    factor = fields.squared_exponential_factor(x, 0.2)
    kernel = np.exp(-((x[:, None] - x) ** 2) / (2 * 0.2**2))
    np.testing.assert_allclose(factor @ factor.T, kernel, atol=2e-10)


def test_samples_have_the_kernel_as_covariance():
    grid, functions = fields.squared_exponential(fields.stream(0, "test"), 4000, 0.2)
    some = slice(None, None, 73)
    kernel = np.exp(-((grid[some, None] - grid[some]) ** 2) / (2 * 0.2**2))
    assert covariance_error(functions[:, some], kernel) < 4.5


def test_samples_in_two_dimensions_have_the_product_kernel():
    axis, samples = fields.squared_exponential_2d(fields.stream(0, "test"), 4000, 0.3, points=9)
    x, y = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    kernel = np.exp(-((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2) / (2 * 0.3**2))
    assert covariance_error(samples.reshape(4000, -1), kernel) < 5.0


def test_two_dimensional_sample_is_the_kronecker_product_of_factors():
    _, samples = fields.squared_exponential_2d(fields.stream(3, "a"), 2, 0.3, points=6)
    factor = fields.squared_exponential_factor(np.linspace(0, 1, 6), 0.3)
    noise = fields.stream(3, "a").standard_normal((2, 36))
    np.testing.assert_allclose(samples.reshape(2, 36), noise @ np.kron(factor, factor).T, atol=1e-13)


def test_periodic_field_has_pointwise_deviation_021_and_the_spectral_covariance():
    x = np.arange(20) / 20
    samples = fields.periodic(fields.stream(0, "test"), 20000, x)
    assert samples.std() == pytest.approx(0.2143, abs=0.003)
    wave = 2 * np.pi * np.arange(1, 60)
    eigenvalues = 625.0**2 * (wave**2 + 25.0) ** -4.0  # eigenfunctions √2 cos and √2 sin
    kernel = 2 * np.cos((x[:, None, None] - x[:, None]) * wave) @ eigenvalues
    assert np.sqrt(kernel[0, 0]) == pytest.approx(0.2143, abs=1e-3)
    assert covariance_error(samples, kernel) < 5.0


def test_periodic_field_has_period_one_and_zero_mean():
    x = np.arange(400) / 400
    samples = fields.periodic(fields.stream(0, "test"), 5, x)
    np.testing.assert_allclose(samples, fields.periodic(fields.stream(0, "test"), 5, x + 1.0), atol=1e-12)
    np.testing.assert_allclose(samples.mean(axis=1), 0.0, atol=1e-14)
    assert np.abs(np.diff(samples, axis=1)).max() < 0.02  # smooth


def test_periodic_field_is_the_same_function_on_any_grid():
    coarse = fields.periodic(fields.stream(0, "a"), 3, np.arange(100) / 100)
    fine = fields.periodic(fields.stream(0, "a"), 3, np.arange(1000) / 1000)
    np.testing.assert_allclose(coarse, fine[:, ::10], atol=1e-14)


def test_same_seed_gives_the_same_field_bitwise_and_streams_and_seeds_differ():
    def draw(seed, name):
        return fields.squared_exponential(fields.stream(seed, name), 2, 0.2, points=64)[1]

    np.testing.assert_array_equal(draw(0, "train"), draw(0, "train"))
    assert not np.any(draw(0, "train") == draw(0, "test"))
    assert not np.any(draw(0, "train") == draw(1, "train"))
    noise = [fields.stream(0, name).standard_normal(10_000) for name in ("train", "test")]
    assert abs(np.corrcoef(noise)[0, 1]) < 0.05


@pytest.mark.parametrize("count", [1, 2, 299])
def test_a_function_does_not_depend_on_how_many_are_drawn(count):
    few = fields.squared_exponential(fields.stream(0, "a"), count, 0.2, points=32)[1]
    many = fields.squared_exponential(fields.stream(0, "a"), 300, 0.2, points=32)[1]
    np.testing.assert_array_equal(few, many[:count])


def test_interpolation_is_numpy_interp():
    grid, functions = fields.squared_exponential(fields.stream(0, "a"), 3, 0.2)
    sensors = np.linspace(0.0, 1.0, 100)
    expected = [np.interp(sensors, grid, function) for function in functions]
    np.testing.assert_allclose(fields.at_sensors(grid, functions, sensors), expected, atol=1e-14)


def test_regression_target():
    x, y = fields.regression_target(0)
    assert x.shape == y.shape == (256,) and (x[0], x[-1]) == (0.0, 1.0)
    np.testing.assert_array_equal(y, fields.regression_target(0)[1])
    slopes = [np.mean(np.diff(fields.regression_target(seed)[1]) ** 2) for seed in range(10)]
    expected = 2 - 2 * np.exp(-((1 / 255) ** 2) / (2 * 0.02**2))  # variance of one increment of this kernel
    assert np.mean(slopes) == pytest.approx(expected, rel=0.2)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="seed must not be negative"):
        fields.stream(-1, "a")
    with pytest.raises(ValueError, match="length scale must be positive"):
        fields.squared_exponential(fields.stream(0, "a"), 1, 0.0)
    with pytest.raises(ValueError, match="100 values of their grid"):
        fields.at_sensors(np.linspace(0, 1, 100), np.zeros((2, 101)), np.array([0.5]))
    with pytest.raises(ValueError, match="sensors must lie in"):
        fields.at_sensors(np.linspace(0, 1, 100), np.zeros((2, 100)), np.array([1.5]))
