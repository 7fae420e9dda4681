"""The projection operator against turning the image by brute force, and against exact line integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from experiments.datasets.phantoms import rasterise
from experiments.datasets.radon import project, projector, view_angles

SIZE = 32


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(size=(SIZE, SIZE)).astype(np.float32)


def turned_column_means(image, angle, order):
    """The definition, one angle at a time, by SciPy."""
    size = len(image)
    v, u = np.meshgrid(np.arange(size) / size - 0.5, np.arange(size) / size - 0.5, indexing="ij")
    x = u * np.cos(angle) - v * np.sin(angle)
    y = u * np.sin(angle) + v * np.cos(angle)
    coordinates = np.round(np.stack([y + 0.5, x + 0.5]) * size, 9)
    if order == 0:
        coordinates = np.floor(coordinates + 0.5)
    return map_coordinates(image, coordinates, order=order, mode="grid-constant").mean(axis=0)


@pytest.mark.parametrize(("interpolation", "order"), [("nearest", 0), ("bilinear", 1)])
def test_against_turning_the_image(image, interpolation, order):
    angles = view_angles(7)
    expected = np.stack([turned_column_means(image, angle, order) for angle in angles])
    projections = project(jnp.asarray(image), projector(SIZE, angles, interpolation))
    assert projections.shape == (7, SIZE)
    np.testing.assert_allclose(projections, expected, rtol=1e-5, atol=1e-6)


def test_angle_zero_is_the_column_mean(image):
    for interpolation in ("nearest", "bilinear"):
        projections = project(jnp.asarray(image), projector(SIZE, np.array([0.0]), interpolation))
        np.testing.assert_allclose(projections[0], image.mean(axis=0), rtol=1e-5)


def exact_projection(a, b, x, y, tilt, angle, offsets):
    """Line integrals of the indicator of an ellipse (Kak and Slaney, section 3.1)."""
    s = np.hypot(a * np.cos(angle - tilt), b * np.sin(angle - tilt))
    distance = offsets - (x * np.cos(angle) + y * np.sin(angle))
    return 2 * a * b * np.sqrt(np.maximum(s**2 - distance**2, 0)) / s**2


@pytest.mark.parametrize(("interpolation", "tolerance"), [("nearest", 0.012), ("bilinear", 0.006)])
def test_against_exact_line_integrals_of_an_ellipse(interpolation, tolerance):
    size, angles = 256, view_angles(9)
    a, b, x, y, tilt = 0.3, 0.15, 0.06, -0.09, 0.5  # unit square, y downwards, centre zero
    # Finer than the operator, averaged: pixel (row, column) is centred at (column, row) / size - 1/2.
    fine = (np.arange(size * 4) + 0.5) / (4 * size) - 0.5 - 0.5 / size
    columns, rows = np.meshgrid(fine, fine)
    along = (columns - x) * np.cos(tilt) + (rows - y) * np.sin(tilt)
    across = (rows - y) * np.cos(tilt) - (columns - x) * np.sin(tilt)
    inside = (along / a) ** 2 + (across / b) ** 2 <= 1
    image = inside.reshape(size, 4, size, 4).mean(axis=(1, 3)).astype(np.float32)
    projections = project(jnp.asarray(image), projector(size, angles, interpolation))
    offsets = np.arange(size) / size - 0.5
    expected = np.stack([exact_projection(a, b, x, y, tilt, angle, offsets) for angle in angles])
    error = np.linalg.norm(projections - expected) / np.linalg.norm(expected)
    assert error < tolerance


def test_gradient_is_the_transpose(image):
    """<P x, y> = <x, P' y>, with P' from automatic differentiation, and P by its explicit matrix."""
    size = 8
    operator = projector(size, view_angles(5), "bilinear")
    matrix = np.asarray(jax.jacobian(lambda x: project(x, operator).ravel())(jnp.zeros((size, size))))
    matrix = matrix.reshape(-1, size * size)
    dense = np.zeros_like(matrix)
    for corner, angle, detector, sample in np.ndindex(operator.indices.shape):
        target = operator.indices[corner, angle, detector, sample]
        if target < size * size:
            weight = operator.weights[corner, angle, detector, sample]
            dense[angle * size + detector, target] += weight / size
    np.testing.assert_allclose(matrix, dense, atol=1e-6)
    small = jnp.asarray(image[:size, :size])
    np.testing.assert_allclose(project(small, operator).ravel(), dense @ small.ravel(), rtol=1e-5)


def test_stack_of_images_and_jit(image):
    operator = projector(SIZE, view_angles(4))
    stack = jnp.stack([jnp.asarray(image), 2 * jnp.asarray(image)])
    projections = jax.jit(project)(stack, operator)
    assert projections.shape == (2, 4, SIZE)
    np.testing.assert_allclose(projections[0], project(jnp.asarray(image), operator), rtol=1e-6)
    np.testing.assert_allclose(projections[1], 2 * projections[0], rtol=1e-6)


def test_total_mass_is_kept():
    """An object within the circle keeps its mass at every angle: each detector row sums to the mean pixel."""
    image = rasterise(np.array([[1.0, 0.4, 0.3, 0.1, 0.2, 0.3]]), 128).astype(np.float32)
    projections = project(jnp.asarray(image), projector(128, view_angles(6), "bilinear"))
    np.testing.assert_allclose(projections.mean(axis=1), image.mean(), rtol=5e-3)


def test_angles():
    np.testing.assert_allclose(view_angles(4), np.deg2rad([0, 45, 90, 135]))


@pytest.mark.parametrize(
    ("size", "angles", "kind", "message"),
    [(8, [0.0], "cubic", "neither"), (0, [0.0], "nearest", "empty"), (8, [], "nearest", "empty")],
)
def test_wrong_choices(size, angles, kind, message):
    with pytest.raises(ValueError, match=message):
        projector(size, np.array(angles), kind)
