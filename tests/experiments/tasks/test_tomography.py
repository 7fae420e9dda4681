"""Computed tomography: the projections of an ellipse in closed form, the metric, training, and the data insisted on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config.compose import configure
from experiments.datasets.radon import view_angles
from experiments.tasks.tomography import Tomography
from experiments.training.history import read_history
from experiments.training.loop import train

DENSITY, AXES, CENTRE = 0.8, (0.3, 0.12), (0.1, -0.07)  # of an ellipse about the middle of the unit square


def ellipse(points):
    """What a network would return before the sigmoid: the logit of the ellipse's density."""
    offset = (points - 0.5 - jnp.array(CENTRE)) / jnp.array(AXES)
    return jnp.where(jnp.sum(offset**2, -1, keepdims=True) < 1, jnp.log(DENSITY / (1 - DENSITY)), -40.0)


def line_integrals(angles, size):
    """Through the ellipse, along lines at distance u from the centre: (angles, size)."""
    angles = angles[:, None]
    distance = np.arange(size) / size - 0.5 - (CENTRE[0] * np.cos(angles) + CENTRE[1] * np.sin(angles))
    square = (AXES[0] * np.cos(angles)) ** 2 + (AXES[1] * np.sin(angles)) ** 2
    chord = np.sqrt(np.maximum(square - distance**2, 0)) / square
    return 2 * DENSITY * AXES[0] * AXES[1] * chord


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_the_loss_compares_with_the_line_integrals_of_the_density(interpolation):
    task = Tomography("shepp", images=1, size=128, angles=7, interpolation=interpolation)
    shared = task.items().shared
    exact = line_integrals(view_angles(7), 128)

    def loss(projections):
        batch = task.batch(shared, {"projections": projections}, jax.random.key(0), jnp.int32(0))
        return float(task.loss(ellipse, batch)[0])

    assert loss(exact) < 1e-3 * loss(0 * exact)
    assert loss(exact[::-1]) > 0.1 * loss(0 * exact)  # turning the other way does not fit
    np.testing.assert_allclose(loss(0 * exact), 0.5 * np.mean(exact**2), rtol=0.02)


def test_the_true_image_has_no_loss_and_an_error_of_a_tenth_is_20_db():
    task = Tomography("shepp", images=2, size=32, angles=3)
    data = task.items()
    item = jax.tree.map(lambda leaf: leaf[1], data.items)

    def exact(points):
        pixel = jnp.round(points * 32).astype(int)
        density = jnp.clip(item["image"], 1e-6, 1 - 1e-6)[pixel[:, 1], pixel[:, 0]]
        return jnp.log(density / (1 - density))[:, None]

    batch = task.batch(data.shared, item, jax.random.key(0), jnp.int32(0))
    assert float(task.loss(exact, batch)[0]) < 1e-10
    np.testing.assert_array_equal(*task.predict(exact, data.shared, item).values())
    off = {"image": jax.nn.sigmoid(exact(data.shared["points"])).reshape(32, 32) + 0.1}
    np.testing.assert_allclose(task.evaluate(exact, data.shared, off)["psnr"], 20, atol=1e-3)


def test_training_lowers_the_loss(tmp_path):
    words = ["experiment=ct_shepp", "profile=smoke", "parameterization=rwf", "trainer.steps=60"]
    config = configure([*words, "task.images=1", "tracking=none"])
    train(config, config.task.items(), tmp_path, lambda _: None)
    losses = [entry["loss"] for entry in read_history(tmp_path)]
    assert losses[-1] < 0.5 * losses[0]


def test_the_paper_profile_is_the_printed_protocol():
    for experiment, angles in (("ct_shepp", 20), ("ct_atlas", 40)):
        config = configure([f"experiment={experiment}", "profile=paper"])
        task = config.task
        assert (task.images, task.size, task.angles, task.interpolation) == (20, 512, angles, "nearest")
        assert config.choices["model"]["depth"] == 5
        assert config.choices["embedding"]["scale"] == 3.0
        assert (config.trainer.steps, config.optimizer.warmup_steps) == (2000, 200)
        assert config.root.reduced is None


def test_brain_slices_are_insisted_on_and_phantoms_need_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_DATA", str(tmp_path))
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="atlas"):
        Tomography("atlas", images=1, size=64, real_data=True).source()
    assert Tomography("atlas", images=1, size=64).source().stand_in == "ATLAS"
    assert Tomography("shepp", images=1, size=64, real_data=True).source().stand_in is None
