"""Labels inside and outside against convex geometry, the generalised winding number, and volumes."""

import logging

import numpy as np
import pytest
import trimesh

from experiments.datasets.meshes import Surface, normalise
from experiments.datasets.occupancy import (
    directions,
    inside,
    near_surface,
    training_pool,
    uniform_points,
)
from experiments.files import arrays_checksum
from experiments.task import Source


def as_surface(vertices, faces):
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    checksum = arrays_checksum({"vertices": mesh.vertices, "faces": mesh.faces})
    return Surface(
        np.asarray(vertices), np.asarray(faces, np.int32), bool(mesh.is_watertight), Source("test", checksum)
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def ball():
    mesh = trimesh.creation.icosphere(subdivisions=2)
    return as_surface(normalise(mesh.vertices), mesh.faces)


@pytest.fixture(scope="module")
def torus():
    mesh = trimesh.creation.torus(1.0, 0.35, major_sections=24, minor_sections=12)
    return as_surface(normalise(mesh.vertices), mesh.faces)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).uniform(0, 1, (2000, 3)).astype(np.float32)


def winding_number(vertices, faces, points):
    """Sum of signed solid angles over 4 pi (van Oosterom and Strackee, 1983)."""
    a, b, c = (vertices[faces[:, corner]][None] - points[:, None].astype(float) for corner in range(3))
    la, lb, lc = (np.linalg.norm(corner, axis=-1) for corner in (a, b, c))
    top = np.einsum("pfi,pfi->pf", a, np.cross(b, c))
    dot = [np.einsum("pfi,pfi->pf", *pair) for pair in ((a, b), (b, c), (c, a))]
    bottom = la * lb * lc + dot[0] * lc + dot[1] * la + dot[2] * lb
    return 2 * np.arctan2(top, bottom).sum(axis=1) / (4 * np.pi)


def test_convex_body(ball, points):
    """Inside a convex body is behind all of its faces."""
    corners = ball.vertices[ball.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    heights = points.astype(float) @ normals.T - np.einsum("fi,fi->f", corners[:, 0], normals)
    clear = np.abs(heights.max(axis=1)) > 1e-5
    labels, disputed = inside(ball, points)
    np.testing.assert_array_equal(labels[clear], (heights.max(axis=1) < 0)[clear])
    assert clear.mean() > 0.99 and disputed <= 4


def test_body_with_a_hole_through_it(torus, points):
    expected = winding_number(torus.vertices, torus.faces, points) > 0.5
    labels, _ = inside(torus, points)
    np.testing.assert_array_equal(labels, expected)
    assert 0.05 < labels.mean() < 0.95


def test_shell_in_a_shell():
    """Two nested spheres: the cavity is outside."""
    outer, inner = (trimesh.creation.icosphere(subdivisions=2, radius=radius) for radius in (1.0, 0.5))
    both = trimesh.util.concatenate([outer, inner])
    points = np.array([[0, 0, 0], [0.75, 0, 0], [0, -0.7, 0.1], [1.2, 0, 0]], np.float32)
    labels, _ = inside(as_surface(both.vertices, both.faces), points)
    np.testing.assert_array_equal(labels, [False, True, True, False])


def test_open_surface_is_settled_by_the_winding_number(torus, points):
    """With faces missing, labels follow the winding number wherever it is not near one half."""
    kept = np.random.default_rng(1).permutation(len(torus.faces))[: int(0.97 * len(torus.faces))]
    surface = as_surface(torus.vertices, torus.faces[kept])
    assert not surface.watertight
    winding = winding_number(surface.vertices, surface.faces, points)
    labels, disputed = inside(surface, points)
    clear = np.abs(winding - 0.5) > 0.15
    assert clear.mean() > 0.95 and disputed > 25
    # A point whose six rays agree is believed, so a few in a thousand may differ.
    assert (labels != (winding > 0.5))[clear].mean() < 2e-3


def test_box_and_volume_of_the_pool(cache, torus):
    pool = training_pool(torus, 20_000)
    lower, upper = torus.vertices.min(axis=0) - 1e-3, torus.vertices.max(axis=0) + 1e-3
    assert pool.points.dtype == np.float32 and pool.inside.shape == (20_000,)
    assert (pool.points >= lower - 1e-6).all() and (pool.points <= upper + 1e-6).all()
    np.testing.assert_allclose(pool.points.min(axis=0), lower, atol=9e-4)
    np.testing.assert_allclose(pool.points.max(axis=0), upper, atol=9e-4)
    part = trimesh.Trimesh(torus.vertices, torus.faces).volume / np.prod(upper - lower)
    np.testing.assert_allclose(pool.inside.mean(), part, atol=4 * np.sqrt(part / 20_000))


def test_pool_is_kept_and_begins_alike(cache, torus):
    pool = training_pool(torus, 3000)
    files = {path.name for path in cache.glob("occupancy-*.npz")}
    again = training_pool(torus, 3000)
    assert len(files) == 1 and {path.name for path in cache.glob("occupancy-*.npz")} == files
    assert again.checksum == pool.checksum
    np.testing.assert_array_equal(again.inside, pool.inside)
    np.testing.assert_array_equal(training_pool(torus, 1000).points, pool.points[:1000])
    assert training_pool(torus, 3000, seed=5).checksum != pool.checksum
    assert uniform_points(torus, 3000).checksum != pool.checksum


def test_points_near_the_surface(cache):
    """About the far-apart vertices of an icosahedron: deviates of 0.01, and each vertex as often."""
    mesh = trimesh.creation.icosahedron()
    surface = as_surface(normalise(mesh.vertices), mesh.faces)
    near = near_surface(surface, 12_000)
    offsets = near.points[:, None] - surface.vertices
    owner = np.linalg.norm(offsets, axis=-1).argmin(axis=1)
    deviation = offsets[np.arange(12_000), owner]
    np.testing.assert_allclose(deviation.std(axis=0), 0.01, rtol=0.03)
    np.testing.assert_allclose(np.bincount(owner), 1000, atol=150)
    assert 0.05 < near.inside.mean() < 0.5


def test_open_surface_is_reported(cache, torus, caplog):
    surface = as_surface(torus.vertices, torus.faces[: int(0.9 * len(torus.faces))])
    with caplog.at_level(logging.WARNING):
        pool = training_pool(surface, 2000)
    assert pool.disputed > 0 and f"for {pool.disputed} of 2000 points" in caplog.text


def test_no_points(cache, torus):
    with pytest.raises(ValueError, match="at least one"):
        training_pool(torus, 0)


def test_directions_are_even():
    rays = directions(64)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1)
    np.testing.assert_allclose(rays.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(rays.T @ rays / 64, np.eye(3) / 3, atol=0.02)


def test_hardly_any_dispute_close_to_a_closed_surface():
    """A face that was just left must not count again when rounding puts the ray's new start before it."""
    mesh = trimesh.creation.icosphere(subdivisions=5)
    surface = as_surface(normalise(mesh.vertices), mesh.faces)
    random = np.random.default_rng(0)
    close = surface.vertices[random.integers(len(surface.vertices), size=100_000)]
    labels, disputed = inside(surface, close + 0.003 * random.standard_normal(close.shape))
    assert disputed <= 4 and 0.4 < labels.mean() < 0.5
