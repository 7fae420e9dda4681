"""Inverse rendering: the order of the rays, their colours, the metric over views, and training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rwf
from experiments.config.compose import ConfigError, configure
from experiments.tasks import rendering
from experiments.tasks.rendering import InverseRendering, positions
from experiments.tasks.volume_rendering import composite, pixel_rays
from experiments.training.history import read_history
from experiments.training.loop import train

SIZE, VIEWS = 6, 5


@pytest.fixture
def task(tmp_path, monkeypatch):
    """The task on the generated scene."""
    monkeypatch.delenv("RWF_DATA", raising=False)
    monkeypatch.setenv("RWF_CACHE", str(tmp_path))
    rendering._views.cache_clear()
    return InverseRendering(size=SIZE, batch_size=40, samples=8)


def batch(task, shared, step):
    return task.batch(shared, {}, jax.random.key(step), jnp.int32(step))


@pytest.mark.parametrize(("size", "total"), [(40, 3600), (7, 100), (100, 100), (3, 10)])
def test_an_order_is_gone_through_once_an_epoch_and_again(size, total):
    steps = 3 * total // size
    taken = np.concatenate([positions(jnp.int32(step), size, total) for step in range(steps)])
    np.testing.assert_array_equal(taken, np.arange(steps * size) % total)


def test_late_steps_do_not_overflow():
    found = positions(jnp.int32(2**31 - 2), 2048, 16_000_000)
    np.testing.assert_array_equal(found, ((2**31 - 2) * 2048 + np.arange(2048)) % 16_000_000)


def test_every_ray_is_seen_once_an_epoch_in_an_order_that_is_not_that_of_the_pixels(task):
    shared = task.items().shared
    rays = 100 * SIZE**2
    seen = np.concatenate([shared["order"][positions(jnp.int32(n), 40, rays)] for n in range(rays // 40)])
    np.testing.assert_array_equal(np.sort(seen), np.arange(rays))
    assert np.abs(np.corrcoef(seen, np.arange(rays))[0, 1]) < 0.05
    np.testing.assert_array_equal(task.items().shared["order"], shared["order"])


def test_rays_have_the_colours_of_their_pixels(task):
    shared = task.items().shared
    found = batch(task, shared, 3)
    for n, ray in enumerate(shared["order"][120:160]):
        view, row, column = np.unravel_index(ray, (100, SIZE, SIZE))
        expected = shared["train"]["images"][view, row, column] / 255
        np.testing.assert_allclose(found["colours"][n], expected, rtol=1e-6)
        pose = shared["train"]["poses"][view]
        focal = shared["train"]["focals"][view]
        across = [(column - SIZE / 2) / focal, -(row - SIZE / 2) / focal, -1]
        np.testing.assert_allclose(found["directions"][n], pose[:3, :3] @ across, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found["origins"][n], pose[:3, 3])
    assert not np.array_equal(found["distances"], batch(task, shared, 4)["distances"])


@pytest.mark.parametrize("where", ["train", "test"])
def test_each_view_has_its_own_focal_length(task, where):
    """Twice the focal length of one view halves how far its rays point aside, and changes no other view."""
    shared = task.items().shared
    focals = shared[where]["focals"].copy()
    focals[1] *= 2
    changed = shared | {where: shared[where] | {"focals": focals}}
    if where == "test":
        before, after = (
            task.predict(bright_ball, s, {})["prediction"].astype(int) for s in (shared, changed)
        )
        assert [n for n in range(len(before)) if not np.array_equal(before[n], after[n])] == [1]
        assert (after[1] > 0).sum() > 1.5 * (before[1] > 0).sum()  # the ball looks larger
        return
    steps = range(100 * SIZE**2 // 40)
    view = shared["order"].reshape(-1, 40) // SIZE**2
    for n in [n for n in steps if (view[n] == 1).any()][:3]:
        found, same = batch(task, changed, n)["directions"], batch(task, shared, n)["directions"]
        forward = -shared["train"]["poses"][view[n], :3, 2]
        factor = np.where(view[n] == 1, 0.5, 1.0)[:, None]
        np.testing.assert_allclose(found - forward, factor * (same - forward), rtol=1e-4, atol=1e-6)


def bright_ball(points):
    """A network's output for an opaque ball of known colour about the origin."""
    inside = jnp.linalg.norm(points, axis=-1, keepdims=True) < 0.7
    colour = jnp.log(jnp.array([0.25, 0.5, 0.75]) / (1 - jnp.array([0.25, 0.5, 0.75])))
    return jnp.concatenate([jnp.broadcast_to(colour, points.shape), jnp.where(inside, 1e4, -1.0)], axis=-1)


def test_views_of_a_ball_are_scored_by_the_mean_over_views(task):
    shared = task.items().shared
    pixels = jnp.arange(SIZE)
    rows, columns = jnp.meshgrid(pixels, pixels, indexing="ij")
    truth = []
    for pose, focal in zip(shared["test"]["poses"], shared["test"]["focals"], strict=True):
        origins, directions = pixel_rays(pose, rows, columns, (SIZE, SIZE), focal)
        along = origins + directions * np.linspace(2, 6, 8)[:, None, None, None]
        hit = (jnp.linalg.norm(along, axis=-1) < 0.7).any(axis=0)
        truth.append(np.where(hit[..., None], [0.25, 0.5, 0.75], 0.0))
    exact = np.round(255 * np.array(truth)).astype(np.uint8)
    shared["test"]["images"] = exact
    predicted = task.predict(bright_ball, shared, {})
    assert 0.1 < np.mean(exact > 0) < 0.9
    assert np.abs(predicted["prediction"].astype(int) - exact).max() <= 1
    off = exact.astype(float)
    off[:4] += 51  # a fifth in four views, a tenth in the others: 14 and 20 dB
    off[4:] += 25.5
    shared["test"]["images"] = off.astype(np.float32)
    values = np.array([-20 * np.log10(0.2)] * 4 + [20.0] * (len(exact) - 4))
    found = task.evaluate(bright_ball, shared, {})
    np.testing.assert_allclose(found["psnr"], values.mean(), atol=0.1)
    np.testing.assert_allclose(found["psnr_std"], values.std(), atol=0.1)


def test_blocks_of_rays_do_not_change_a_view(task):
    shared = task.items().shared
    whole = InverseRendering(size=SIZE, batch_size=SIZE**2, samples=8).predict(bright_ball, shared, {})
    blocks = InverseRendering(size=SIZE, batch_size=5, samples=8).predict(bright_ball, shared, {})
    np.testing.assert_array_equal(whole["prediction"], blocks["prediction"])


def test_training_lowers_the_loss(task, tmp_path):
    words = ["experiment=nerf_lego", "profile=smoke", "parameterization=rwf", "tracking=none"]
    config = configure(
        [*words, "trainer.steps=100", "trainer.evaluate_every=50", "optimizer.decay_steps=100"]
    )
    train(config, config.task.items(), tmp_path / "run", lambda _: None)
    history = list(read_history(tmp_path / "run"))
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses[-1] < 0.7 * losses[0]
    assert [entry["step"] for entry in history if "psnr" in entry] == [0, 50, 100]


def test_the_paper_profile_is_the_printed_protocol():
    config = configure(["experiment=nerf_lego", "profile=paper", "embedding.two_pi=false"])
    task = config.task
    assert (task.size, task.batch_size, task.samples, task.near, task.far) == (400, 2048, 128, 2.0, 6.0)
    assert task.real_data and config.root.reduced is None
    assert (config.choices["model"]["depth"], config.choices["embedding"]["scale"]) == (5, 10.0)
    assert config.variant == ("embedding.two_pi=False",)
    rates = [float(config.optimizer.schedule()(step)) for step in (0, 5000, 50000)]
    np.testing.assert_allclose(rates, [0, 1e-3, 1e-3 * 0.9**45], rtol=1e-4)


def test_what_cannot_be_done_is_said(task, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="far"):
        configure(["experiment=nerf_lego", "profile=smoke", "task.far=1.0"])
    with pytest.raises(ValueError, match="3600 rays"):
        InverseRendering(size=SIZE, batch_size=5000).items()
    monkeypatch.setenv("RWF_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="lego_400"):
        InverseRendering(size=SIZE, real_data=True).source()


def test_points_on_one_axis_give_the_loss_and_the_gradients_of_rays_and_samples(task):
    rays = batch(task, task.items().shared, 0)
    places = [rays[name] for name in ("origins", "directions", "distances")]
    initialise, apply = rwf.functional(lambda rngs: rwf.models.MLP(3, 4, depth=3, width=32, rngs=rngs))
    params, constants = initialise(jax.random.key(0))

    def by_rays(network, origins, directions, distances):
        output = network(origins[:, None] + directions[:, None] * distances[..., None])
        return composite(jax.nn.sigmoid(output[..., :3]), jax.nn.relu(output[..., 3]), distances)

    def loss(render, params):
        colours = render(lambda points: apply(params, constants, points), *places)
        return jnp.mean((colours - rays["colours"]) ** 2)

    (found, gradients), (expected, former) = (
        jax.value_and_grad(functools.partial(loss, render))(params) for render in (rendering.render, by_rays)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(former))
    assert scale > 0
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6 * scale), gradients, former
    )
