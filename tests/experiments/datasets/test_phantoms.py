"""Perturbed Shepp-Logan phantoms against the known values of the unperturbed one and against its table."""

import numpy as np
import pytest

from experiments.datasets.phantoms import SHEPP_LOGAN, deviates, phantoms, rasterise


def value_at(image, x, y):
    size = len(image)
    return image[round((1 - y) / 2 * (size - 1)), round((x + 1) / 2 * (size - 1))]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0, 0.99, 0),  # outside the skull
        (0, 0.9, 1.0),  # skull
        (0.5, 0.0, 0.2),  # brain
        (0.22, 0.0, 0.0),  # right ventricle
        (-0.22, 0.0, 0.0),  # left ventricle
        (0, 0.35, 0.3),  # large tumour
        (0, 0.1, 0.4),  # small tumour, where it overlaps the large one
        (0, -0.1, 0.3),
        (-0.08, -0.605, 0.3),
        (0.06, -0.605, 0.3),
    ],
)
def test_unperturbed_values(x, y, expected):
    np.testing.assert_allclose(value_at(rasterise(SHEPP_LOGAN, 801), x, y), expected, atol=1e-12)


def test_area_of_a_rotated_ellipse():
    """A rotated, shifted ellipse has area pi a b, first moment at its centre, and the given direction."""
    size, (a, b, x, y, angle) = 1001, (0.5, 0.2, 0.1, -0.2, 0.7)
    image = rasterise(np.array([[2.0, a, -b, x, y, angle]]), size)
    axis = np.linspace(-1, 1, size)
    cell = (axis[1] - axis[0]) ** 2
    np.testing.assert_allclose(image.sum() / 2 * cell, np.pi * a * b, rtol=2e-3)
    weights = image / image.sum()
    columns, rows = np.meshgrid(axis, -axis)
    np.testing.assert_allclose([(weights * columns).sum(), (weights * rows).sum()], [x, y], atol=1e-3)
    covariance = np.cov(columns.ravel(), rows.ravel(), aweights=weights.ravel())
    direction = np.linalg.eigh(covariance)[1][:, 1]
    np.testing.assert_allclose(np.abs(direction), [np.cos(angle), np.sin(angle)], atol=1e-3)


def test_degenerate_ellipse_encloses_nothing():
    assert not rasterise(np.array([[1.0, 0.0, 0.5, 0.0, 0.0, 0.0]]), 65).any()


def test_seeded_and_independent_of_number_and_size():
    images, names, source = phantoms(3, 64)
    assert images.shape == (3, 64, 64) and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 1 and source.stand_in is None
    assert names == ("phantom-00", "phantom-01", "phantom-02")
    np.testing.assert_array_equal(phantoms(2, 64)[0], images[:2])
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(phantoms(1, 64, seed=1)[0], images[:1])
    np.testing.assert_array_equal(phantoms(1, 127)[0][0, ::2, ::2], phantoms(1, 64)[0][0])
    np.testing.assert_allclose(phantoms(1, 64, spread=0)[0][0], rasterise(SHEPP_LOGAN, 64).clip(0), atol=1e-6)


def test_every_parameter_is_perturbed():
    draws = np.stack([deviates(0, index) for index in range(200)])
    assert draws.shape == (200, 10, 6)
    np.testing.assert_allclose(draws.mean(0), 0, atol=5 / np.sqrt(200))
    np.testing.assert_allclose(draws.std(0), 1, atol=0.3)


def test_none_asked_for():
    with pytest.raises(ValueError, match="at least 1"):
        phantoms(0)
