"""Volume rendering against a loop over samples, the closed form of uniform fog, and pixels worked out by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.datasets.scene import focal_length, look_at_origin, sphere_distance
from experiments.tasks.volume_rendering import (
    composite,
    even_distances,
    pixel_rays,
    running_product,
    stratified_distances,
    weights,
)


def loop(colours, density, distances):
    """Equation by equation, one sample after the other, in double precision."""
    light, total = 1.0, np.zeros(3)
    for n, z in enumerate(distances):
        interval = distances[n + 1] - z if n + 1 < len(distances) else 1e10
        absorbed = 1 - math.exp(-density[n] * interval)
        total += light * absorbed * colours[n]
        light *= min(1.0, 1 - absorbed + 1e-10)
    return total


def test_compositing_is_the_loop_over_samples():
    random = np.random.default_rng(0)
    colours = random.uniform(size=(5, 16, 3))
    density = np.maximum(random.normal(size=(5, 16)), 0) * 3
    distances = np.sort(random.uniform(2, 6, (5, 16)), axis=1)
    found = composite(*(jnp.asarray(a, jnp.float32) for a in (colours, density, distances)))
    expected = [loop(*ray) for ray in zip(colours, density, distances, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_uniform_fog_lets_through_what_the_exponential_law_says():
    distances = even_distances(2.0, 6.0, 50)
    found = weights(jnp.full(50, 0.7), distances)
    np.testing.assert_allclose(jnp.sum(found[:-1]), 1 - math.exp(-0.7 * 4), rtol=1e-5)
    np.testing.assert_allclose(jnp.sum(found), 1, rtol=1e-5)  # the last sample takes the rest
    np.testing.assert_allclose(jnp.cumsum(found)[:-1], 1 - np.exp(-0.7 * (distances[1:] - 2)), rtol=1e-4)


def test_empty_space_is_black_and_a_wall_hides_what_is_behind():
    colours = jnp.eye(3)
    distances = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(composite(colours, jnp.zeros(3), distances), [0, 0, 0])
    np.testing.assert_allclose(
        composite(colours, jnp.array([0.0, 1e6, 5.0]), distances), [0, 1, 0], atol=1e-6
    )


def test_gradients_are_finite_where_nothing_or_everything_is_absorbed():
    def brightness(density):
        return composite(jnp.ones((4, 3)), density, even_distances(2.0, 6.0, 4)).sum()

    for density in (jnp.zeros(4), jnp.full(4, 1e8), jnp.array([0.0, 1e8, 0.0, 1.0])):
        assert np.isfinite(jax.grad(brightness)(density)).all()


@pytest.mark.parametrize("small", [1e-10, 1e-3, 0.9])
def test_the_gradient_of_running_products_is_that_of_products_without_one_factor(small):
    random = np.random.default_rng(0)
    x, weight = random.uniform(small, 1, (5, 24)), random.normal(size=(5, 24))
    x[:, 7] = small
    exact = np.zeros_like(x)
    for n in range(x.shape[1]):
        others = x.copy()
        others[:, n] = 1
        exact[:, n] = np.sum(weight[:, n:] * np.cumprod(others, axis=1)[:, n:], axis=1)
    x, weight = jnp.asarray(x, jnp.float32), jnp.asarray(weight, jnp.float32)
    found = jax.grad(lambda x: jnp.sum(weight * running_product(x)))(x)
    former = jax.grad(lambda x: jnp.sum(weight * jnp.cumprod(x, axis=-1)))(x)
    np.testing.assert_allclose(found, exact, rtol=2e-5, atol=2e-5 * np.abs(exact).max())
    np.testing.assert_allclose(found, former, rtol=2e-5, atol=2e-6 * np.abs(exact).max())
    np.testing.assert_array_equal(running_product(x), jnp.cumprod(x, axis=-1))


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.1, 1.0, 10.0, 1e3, 1e6])
def test_compiled_gradients_are_those_of_a_product_differentiated_pass_by_pass(scale):
    def former(density, distances):
        intervals = jnp.append(jnp.diff(distances, axis=-1), jnp.full((64, 1), 1e10), axis=-1)
        absorbed = 1 - jnp.exp(-density * intervals)
        passed = jnp.cumprod(jnp.minimum(1, 1 - absorbed + 1e-10), axis=-1)
        return absorbed * jnp.append(jnp.ones((64, 1)), passed[:, :-1], axis=-1)

    keys = jax.random.split(jax.random.key(0), 3)
    distances = stratified_distances(keys[0], 64, 2.0, 6.0, 16)
    density = jax.nn.relu(scale * jax.random.normal(keys[1], (64, 16)))
    brightness = jax.random.uniform(keys[2], (64, 16))

    def gradient(weights):  # of all samples but the last, whose interval is 1e10
        return jax.jit(jax.grad(lambda density: jnp.sum(weights(density, distances) * brightness)))(density)[
            :, :-1
        ]

    found, expected = gradient(weights), gradient(former)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_ray_of_a_pixel_by_hand():
    # A camera at (1, 2, 3) turned a quarter about z: its right is the world's y, its up the world's -x.
    pose = jnp.array([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
    origin, direction = pixel_rays(pose, jnp.array(1), jnp.array(7), (10, 10), 5.0)
    np.testing.assert_array_equal(origin, [1, 2, 3])
    # Camera direction (2/5, 4/5, -1): two to the right of the middle, four above it.
    np.testing.assert_allclose(direction, [-0.8, 0.4, -1], rtol=1e-6)


def test_the_middle_pixel_looks_from_the_camera_at_the_origin():
    pose = jnp.asarray(look_at_origin(0.7, 0.4), jnp.float32)
    origin, direction = pixel_rays(pose, jnp.array(50), jnp.array(50), (100, 100), focal_length(100))
    np.testing.assert_allclose(origin + direction * jnp.linalg.norm(origin), 0, atol=1e-5)


def test_a_thin_shell_is_seen_at_the_distance_of_the_sphere():
    pose = jnp.asarray(look_at_origin(0.3, 0.5), jnp.float32)
    rows, columns = jnp.meshgrid(jnp.arange(8), jnp.arange(8), indexing="ij")
    origins, directions = pixel_rays(pose, rows.ravel(), columns.ravel(), (8, 8), 20.0)
    distances = even_distances(2.0, 6.0, 4001)
    points = origins[:, None] + directions[:, None] * distances[:, None]
    density = jnp.where(jnp.linalg.norm(points, axis=-1) < 0.8, 1e5, 0.0)
    depth = jnp.sum(weights(density, jnp.broadcast_to(distances, density.shape)) * distances, -1)
    exact = sphere_distance(np.asarray(pose[:3, 3]), np.asarray(directions), np.array([0, 0, 0, 0.8]))
    seen = np.isfinite(exact)
    assert 10 < seen.sum() < 60
    np.testing.assert_allclose(depth[seen], exact[seen], atol=2e-3)


@pytest.mark.parametrize(("samples", "rays"), [(8, 1000), (128, 50)])
def test_jitter_moves_samples_on_by_at_most_a_part_and_differs_between_rays(samples, rays):
    moved = stratified_distances(jax.random.key(0), rays, 2.0, 6.0, samples) - even_distances(
        2.0, 6.0, samples
    )
    part = 4 / samples
    assert float(moved.min()) > -1e-6 and float(moved.max()) < part + 1e-6
    np.testing.assert_allclose(moved.mean(), part / 2, rtol=0.05)
    np.testing.assert_allclose(moved.std(), part / math.sqrt(12), rtol=0.05)
    assert len(np.unique(np.asarray(moved))) > 0.9 * moved.size / 8


def test_the_middle_of_a_wide_view_is_the_square_view():
    pose = jnp.asarray(look_at_origin(0.3, 0.5), jnp.float32)
    rows, columns = jnp.meshgrid(jnp.arange(8), jnp.arange(8), indexing="ij")
    square = pixel_rays(pose, rows, columns, (8, 8), 20.0)
    wide = pixel_rays(pose, rows, columns + 3, (8, 14), 20.0)
    high = pixel_rays(pose, rows + 2, columns, (12, 8), 20.0)
    for other in (wide, high):
        np.testing.assert_allclose(other[1], square[1], atol=1e-6)
