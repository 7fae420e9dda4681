"""A trained network read back gives the numbers its run reported; the film of a trained scene."""

import imageio.v3 as imageio
import jax
import numpy as np
import pytest

from experiments import orbit
from experiments.config.compose import ConfigError, configure
from experiments.datasets.scene import focal_length, look_at_origin
from experiments.running.run import data_source, folder_of, run
from experiments.training import trained


def finished(tmp_path, *words):
    """The folder and the rows of a small run."""
    fixed = ["profile=smoke", "tracking=none", f"runs={tmp_path}", "execution.compilation_cache=false"]
    config = configure([*fixed, *words])
    rows = run(config, lambda news: None)
    return folder_of(config, data_source(config)), rows, config


def test_the_network_of_each_item_and_seed_has_its_reported_metric(tmp_path):
    words = ("experiment=image_natural", "parameterization=rwf", "model.width=8", "task.images=2", "seeds=2")
    folder, rows, config = finished(tmp_path, *words)
    data = config.task.items()
    for seed, row in enumerate(rows):
        for item in range(2):
            network, task = trained.load(folder, item, seed)
            assert task == config.task
            mine = jax.tree.map(lambda leaf, item=item: leaf[item], data.items)
            found = task.evaluate(network, data.shared, mine)["psnr"]
            np.testing.assert_allclose(found, row.metrics["psnr"][item], rtol=1e-5)
    with pytest.raises(ConfigError, match="has no item 2: it has 2"):
        trained.load(folder, 2)
    with pytest.raises(ConfigError, match=r"weights-5\.npz is missing"):
        trained.load(folder, 0, 5)
    with pytest.raises(ConfigError, match="is no run of inverse rendering"):
        orbit.orbit(folder, 2, 8)


def test_a_film_goes_around_the_trained_scene(tmp_path, capsys):
    folder, _, _ = finished(tmp_path, "experiment=nerf_lego", "parameterization=plain")
    output = tmp_path / "films" / "scene.gif"
    arguments = [str(folder), str(folder), "--frames", "4", "--size", "20", "--output", str(output)]
    assert orbit.main(arguments) == 0
    frames = imageio.imread(output)
    assert frames.shape == (4, 20, 40, 3)
    network, task = trained.load(folder)
    frame = orbit.orbit(folder, 4, 20)[1]
    pose = look_at_origin(np.pi / 2, np.pi / 6).astype(np.float32)
    np.testing.assert_allclose(pose[:3, 3] / np.linalg.norm(pose[:3, 3]), [0, np.sqrt(0.75), 0.5], atol=1e-6)
    expected = task.view(network, pose, (20, 20), focal_length(20))
    np.testing.assert_allclose(frame, np.round(255 * np.clip(expected, 0, 1)), atol=1)
    assert orbit.main([str(tmp_path / "absent"), "--output", str(output)]) == 2
    assert orbit.main([str(folder), "--output", "film.avi"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "name a finished run" in errors[-2] and "must end in .gif or .mp4" in errors[-1]
