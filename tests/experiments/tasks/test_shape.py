"""Shapes: the score counted by hand on a sphere, the pool, the loss, the grid, and training."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from experiments.config.compose import configure
from experiments.datasets.meshes import Surface, normalise
from experiments.task import Source
from experiments.tasks import shape
from experiments.tasks.shape import Shape, cell_centres, grid_labels, intersection_over_union
from experiments.training.history import read_history
from experiments.training.loop import train

RADIUS = 0.5  # of the sphere after normalisation, about the middle of the cube


@pytest.fixture
def sphere(tmp_path, monkeypatch):
    """A fine sphere in place of the Dragon."""
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    mesh = trimesh.creation.icosphere(subdivisions=4)
    faces = np.asarray(mesh.faces, np.int32)
    surface = Surface(normalise(mesh.vertices), faces, True, Source("sphere", "0"))
    monkeypatch.setattr(shape, "_surface", lambda name, real: surface)
    return surface


def ball(radius, centre=(0.5, 0.5, 0.5)):
    """A network whose logit is positive inside a ball."""
    return lambda points: radius - jnp.linalg.norm(points - jnp.array(centre), axis=-1, keepdims=True)


def test_the_score_of_a_ball_of_another_size_counted_by_hand(sphere):
    task = Shape("dragon", pool=100, test_points=5000, resolution=8)
    shared = task.items().shared
    found = task.evaluate(ball(0.99 * RADIUS, (0.5, 0.52, 0.5)), shared, {})
    for name, test in (("iou", "near"), ("iou_uniform", "uniform")):
        both = either = 0
        for point, inside in zip(*shared[test].values(), strict=True):
            predicted = math.dist(point, (0.5, 0.52, 0.5)) < 0.99 * RADIUS
            both += bool(predicted and inside)
            either += bool(predicted or inside)
        np.testing.assert_allclose(found[name], both / either, rtol=1e-6)
    assert found["iou"] < found["iou_uniform"] < 1


def test_labels_and_score_agree_with_the_geometry_of_the_sphere(sphere):
    task = Shape("dragon", pool=20000, test_points=5000, resolution=16)
    shared = task.items().shared
    share = shared["pool"]["inside"].mean() * (2 * RADIUS + 2e-3) ** 3
    np.testing.assert_allclose(share, 4 / 3 * np.pi * RADIUS**3, rtol=0.02)
    distance = np.linalg.norm(shared["near"]["points"] - 0.5, axis=1)
    np.testing.assert_allclose(np.std(distance - RADIUS), 0.01, rtol=0.1)
    scores = task.evaluate(ball(RADIUS), shared, {})
    assert scores["iou"] > 0.9 and scores["iou_uniform"] > 0.99
    smaller = task.evaluate(ball(0.8 * RADIUS), shared, {})
    np.testing.assert_allclose(smaller["iou_uniform"], 0.8**3, atol=0.03)


def test_intersection_over_union_of_no_overlap_is_zero():
    assert float(intersection_over_union(jnp.array([True, False]), jnp.array([False, True]))) == 0


def test_batches_are_labelled_points_of_the_pool_and_differ(sphere):
    task = Shape("dragon", pool=1000, batch_size=500, test_points=10, resolution=8)
    shared = task.items().shared
    label = {tuple(p): i for p, i in zip(*shared["pool"].values(), strict=True)}
    batches = [task.batch(shared, {}, jax.random.key(n), jnp.int32(n)) for n in range(2)]
    for batch in batches:
        points = np.asarray(batch["points"])
        assert [label[tuple(p)] for p in points] == batch["inside"].tolist()
        assert 350 < len(np.unique(points, axis=0)) < 450  # 1000 (1 - 1/e^0.5) = 393 in the mean
    assert not np.array_equal(batches[0]["points"], batches[1]["points"])


def test_the_loss_is_the_cross_entropy_and_finite_for_great_logits(sphere):
    points = jnp.array([[0.1], [3.0], [-2.0], [500.0]])
    inside = np.array([True, False, True, True])
    chance = 1 / (1 + np.exp(-np.asarray(points[:, 0], np.float64)))
    exact = -np.mean(np.log(np.where(inside, chance, 1 - chance)))
    task = Shape("dragon")
    loss, _ = task.loss(lambda x: x, {"points": points, "inside": jnp.array(inside)})
    np.testing.assert_allclose(loss, exact, rtol=1e-6)
    wrong, _ = task.loss(lambda x: x, {"points": jnp.array([[1e4]]), "inside": jnp.array([False])})
    assert float(wrong) == 1e4


def test_the_grid_is_a_cell_by_cell_record_of_the_shape(sphere):
    truth = np.unpackbits(grid_labels(sphere, 16), axis=-1).astype(bool)
    x, y, z = np.meshgrid(*[cell_centres(16)] * 3, indexing="ij")
    np.testing.assert_array_equal(truth, (x - 0.5) ** 2 + (y - 0.5) ** 2 + (z - 0.5) ** 2 < RADIUS**2)
    task = Shape("dragon", resolution=16)
    centre = (0.3, 0.45, 0.6)  # different along each axis
    shared = {"grid": jnp.asarray(np.packbits(truth, axis=-1)), "box": jnp.array([[0.0] * 3, [1.0] * 3])}
    found = task.predict(ball(0.2, centre), shared, {})
    expected = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < 0.2**2
    np.testing.assert_array_equal(np.unpackbits(found["prediction"], axis=-1), expected)
    np.testing.assert_array_equal(np.unpackbits(found["truth"], axis=-1), truth)
    shared["box"] = jnp.array([[0.0] * 3, [0.4, 1.0, 0.5]])  # nothing is learned beyond the mesh's box
    found = task.predict(ball(0.2, centre), shared, {})
    np.testing.assert_array_equal(
        np.unpackbits(found["prediction"], axis=-1), expected & (x < 0.4) & (z < 0.5)
    )


def test_training_lowers_the_loss(sphere, tmp_path):
    words = ["experiment=shape_dragon", "profile=smoke", "embedding=symmetric", "parameterization=rwf"]
    config = configure([*words, "trainer.steps=200", "optimizer.learning_rate=0.005", "tracking=none"])
    trained = train(config, config.task.items(), tmp_path, lambda _: None)
    losses = [entry["loss"] for entry in read_history(tmp_path)]
    assert losses[-1] < 0.6 * losses[0]
    assert trained.outcomes[0].metrics["iou_uniform"] > 0.7


def test_the_paper_profile_is_the_printed_protocol():
    for name in ("dragon", "armadillo"):
        config = configure([f"experiment=shape_{name}", "profile=paper", "embedding.normalize=true"])
        assert (config.task.mesh, config.task.batch_size) == (name, 8192)
        assert config.task.pool >= 16e6 and config.task.real_data
        assert (config.choices["model"]["depth"], config.choices["model"]["width"]) == (8, 256)
        assert config.choices["embedding"]["scale"] == 12.0
        assert config.trainer.steps == 10000
        rates = [float(config.optimizer.schedule()(step)) for step in (0, 1000, 6000)]
        np.testing.assert_allclose(rates, [0, 5e-4, 5e-5], rtol=1e-5)


def test_the_scan_is_insisted_on(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_DATA", str(tmp_path))
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="dragon"):
        Shape("dragon", real_data=True).source()
