"""Shaded views of shapes known on a grid: sizes, directions and brightness that geometry gives."""

import numpy as np
import pytest

from experiments.surface_view import HALF_WIDTH, LIGHT, camera, shaded, surface


def cells(n=32):
    return (np.mgrid[:n, :n, :n] + 0.5) / n - 0.5


def box(lower, upper):
    return np.all(
        [(a > low) & (a < high) for a, low, high in zip(cells(), lower, upper, strict=True)], axis=0
    )


def test_the_surface_of_a_ball_is_closed_and_of_its_size():
    vertices, faces, normals = surface(sum(axis**2 for axis in cells(48)) < 0.3**2)
    np.testing.assert_allclose(np.linalg.norm(vertices - 0.5, axis=1), 0.3, atol=1 / 48)
    corners = vertices[faces]
    volume = np.einsum("ni,ni->n", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    np.testing.assert_allclose(abs(volume), 4 / 3 * np.pi * 0.3**3, rtol=0.02)
    cosine = np.einsum("ni,ni->n", normals, (vertices - 0.5) / 0.3)
    assert np.abs(cosine).min() > 0.9


def test_the_camera_is_a_right_handed_frame():
    axes = camera(25.0, 15.0)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(axes[0], axes[1]), axes[2], atol=1e-12)
    np.testing.assert_allclose(camera(90.0, 0.0)[2], [1, 0, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "horizontal", "vertical"),
    [(0, 0, (-0.25, 0.25), (0, 0.375)), (90, 0, (-0.25, 0), (0, 0.375)), (0, 90, (-0.25, 0.25), (-0.25, 0))],
)
def test_a_box_is_seen_where_it_is(azimuth, elevation, horizontal, vertical):
    picture = shaded(box((-0.25, 0, 0), (0.25, 0.375, 0.25)), azimuth, elevation, pixels=108)
    rows, columns = np.nonzero(picture < 1)
    width = 2 * HALF_WIDTH / 108
    found = [columns.min() * width, (columns.max() + 1) * width]
    np.testing.assert_allclose(np.array(found) - HALF_WIDTH, horizontal, atol=0.02)
    found = [HALF_WIDTH - (rows.max() + 1) * width, HALF_WIDTH - rows.min() * width]
    np.testing.assert_allclose(found, vertical, atol=0.02)


def test_a_face_towards_the_camera_has_the_brightness_of_its_angle_to_the_light():
    picture = shaded(box((-0.3, -0.3, -0.3), (0.3, 0.3, 0.3)), 0, 0, pixels=51)
    np.testing.assert_allclose(picture[25, 25], 0.15 + 0.8 * LIGHT[2] / np.linalg.norm(LIGHT), atol=1e-3)


def test_nothing_inside_and_everything_inside_are_drawn():
    assert shaded(np.zeros((16, 16, 16), bool), pixels=20).min() == 1
    full = shaded(np.ones((16, 16, 16), bool), 0, 0, pixels=54)
    np.testing.assert_allclose(np.mean(full < 1), (1 / 1.08) ** 2, rtol=0.1)
