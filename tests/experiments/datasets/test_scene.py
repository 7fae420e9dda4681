"""The generated scene: intersections against sampling along the ray, and cameras against projection."""

import numpy as np
import pytest

from experiments.datasets import scene


@pytest.fixture(scope="module")
def rays():
    """Rays from one point towards the scene, none of them parallel to another."""
    random = np.random.default_rng(0)
    origin = np.array([2.5, -2.0, 1.5])
    return origin, random.uniform(-1, 1, (300, 3)) - origin


def first_sample_inside(origin, directions, is_inside, step=1e-3):
    """Ray parameter of the first of many samples inside a body, infinite if there is none."""
    parameters = np.arange(0, 2, step)
    inside = is_inside(origin + parameters[:, None] * directions[:, None])
    return np.where(inside.any(axis=1), parameters[inside.argmax(axis=1)], np.inf)


def agree(exact, sampled, step=1e-3):
    """Equal to within a step, but for rays that only graze the body between two samples."""
    both = np.isfinite(exact) & np.isfinite(sampled)
    assert both.sum() > 20 and (np.isfinite(exact) != np.isfinite(sampled)).sum() <= 2
    assert ((sampled[both] >= exact[both] - 1e-12) & (sampled[both] <= exact[both] + step)).mean() > 0.98


def test_spheres(rays):
    origin, directions = rays
    sphere = np.array([0.1, 0.2, -0.1, 0.5, 1, 1, 1])
    exact = scene.sphere_distance(origin, directions, sphere)
    agree(exact, first_sample_inside(*rays, lambda p: np.linalg.norm(p - sphere[:3], axis=-1) < 0.5))
    assert np.isinf(scene.sphere_distance(origin, -directions, sphere)).all()  # behind


def test_boxes(rays):
    origin, directions = rays
    box = np.array([-0.4, -0.2, -0.6, 0.3, 0.7, 0.1, 1, 1, 1])
    exact = scene.box_distance(origin, directions, box)
    agree(exact, first_sample_inside(*rays, lambda p: ((p > box[:3]) & (p < box[3:6])).all(axis=-1)))
    assert np.isinf(scene.box_distance(origin, -directions, box)).all()


def test_ray_along_an_axis_meets_the_box():
    box = np.array([-0.5, -0.5, -0.5, 0.5, 0.5, 0.5, 1, 1, 1])
    straight = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(scene.box_distance(np.array([0.1, 0.2, 3.0]), straight, box), [2.5, np.inf])


def test_normals_of_a_box():
    box = np.array([-1.0, -2, -3, 1, 2, 3, 1, 1, 1])
    positions = np.array([[1.0, 0.5, 2], [0.3, -2, 1], [0, 0, 3]])
    np.testing.assert_array_equal(scene.box_normals(positions, box), [[1, 0, 0], [0, -1, 0], [0, 0, 1]])


def test_cameras_face_the_origin():
    poses = scene.cameras(20, 3, 4)
    assert poses.shape == (27, 4, 4)
    rotations, positions = poses[:, :3, :3], poses[:, :3, 3]
    identities = np.broadcast_to(np.eye(3), (27, 3, 3))
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), identities, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    np.testing.assert_allclose(np.linalg.norm(positions, axis=1), scene.RADIUS)
    np.testing.assert_allclose(rotations[:, :, 2], positions / scene.RADIUS)  # looks along minus z
    assert (positions[:, 2] > 0).all() and (rotations[:, 2, 1] > 0).all()  # from above, upright
    assert len(np.unique(positions.round(6), axis=0)) == 27


def test_focal_length_is_that_of_the_lego_views():
    np.testing.assert_allclose(scene.focal_length(400), 555.5555, atol=1e-3)


@pytest.mark.parametrize("point", [[0.0, 0, 0], [0.6, -0.4, 0.3], [-0.5, 0.8, -0.2]])
def test_pixels_follow_the_convention_of_rays(monkeypatch, point):
    """A small ball is seen where its centre projects: pixel (i, j) looks at ((i-W/2)/f, -(j-H/2)/f, -1)."""
    size = 64
    monkeypatch.setattr(scene, "BOXES", np.zeros((0, 9)))
    monkeypatch.setattr(scene, "SPHERES", np.array([[*point, 0.15, 1, 1, 1]]))
    for pose in scene.cameras(2, 1, 1):
        view = scene.render(pose[None], size)[0].max(axis=-1) > 40
        rows, columns = np.nonzero(view)
        x, y, z = pose[:3, :3].T @ (np.array(point) - pose[:3, 3])
        expected = np.array([-x / z, y / z]) * scene.focal_length(size) + size / 2
        np.testing.assert_allclose([columns.mean(), rows.mean()], expected, atol=0.35)


def test_near_hides_far_and_background_is_black():
    """Straight from above: the ball on the cabin, then past everything."""
    origin = np.array([-0.4, 0.0, 4.0])
    colours = scene.trace(origin, np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]))
    assert colours[0].argmax() == 1 and colours[0].max() > 0.3  # green
    np.testing.assert_array_equal(colours[1], 0)


def test_scene_lies_between_the_near_and_far_planes():
    """Samples of the task run from 2 to 6 along rays of unit depth: all of the scene must lie between."""
    corners = np.abs(scene.BOXES[:, :6]).reshape(-1, 2, 3).max(axis=(0, 1))
    balls = (np.abs(scene.SPHERES[:, :3]) + scene.SPHERES[:, 3:4]).max(axis=0)
    reach = np.linalg.norm(np.maximum(corners, balls))
    assert scene.RADIUS - reach > 2 and scene.RADIUS + reach < 6
