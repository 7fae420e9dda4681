"""A trained network read back gives the numbers its run reported; the film of a trained scene."""

import imageio.v3 as imageio
import jax
import numpy as np
import pytest

from experiments import export, orbit
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


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """The folder of a scene trained with two seeds."""
    words = ("experiment=nerf_lego", "parameterization=plain", "seeds=2")
    return finished(tmp_path_factory.mktemp("scene"), *words)[0]


def test_a_film_is_of_the_seed_that_is_asked_for(scene, tmp_path):
    films = {}
    for seed in (0, 1):
        films[seed] = orbit.orbit(scene, 2, 12, seed=seed)
        network, task = trained.load(scene, 0, seed)
        expected = task.view(network, orbit.poses(2, orbit.ELEVATION)[1], (12, 12), focal_length(12))
        np.testing.assert_allclose(films[seed][1], np.round(255 * np.clip(expected, 0, 1)), atol=1)
    assert (films[0] != films[1]).any()
    words = [str(scene), "--frames", "2", "--size", "12", "--seed"]
    for seed in (0, 1):
        assert export.main([words[0], str(tmp_path / f"{seed}.gif"), *words[1:], str(seed)]) == 0
    first, second = (imageio.imread(tmp_path / f"{seed}.gif") for seed in (0, 1))
    assert (first != second).any()
    with pytest.raises(ConfigError, match="has no item 1"):
        orbit.orbit(scene, 2, 12, item=1)


def test_the_suffix_of_a_film_may_have_capitals(scene, tmp_path):
    words = ["--frames", "2", "--size", "12"]
    assert orbit.main([str(scene), *words, "--output", str(tmp_path / "a.GIF")]) == 0
    assert export.main([str(scene), str(tmp_path / "b.GIF"), *words]) == 0
    assert imageio.imread(tmp_path / "a.GIF").shape == (2, 12, 12, 3)
    assert imageio.imread(tmp_path / "b.GIF").shape == (2, 12, 12, 3)


def test_what_goes_wrong_with_a_film_is_one_line(scene, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    words = [str(scene), "--frames", "1", "--size", "8"]
    assert orbit.main([*words, "--output", str(tmp_path / "file" / "a.gif")]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "frames" not in line]
    assert len(lines) == 1 and "choose folders that can be written" in lines[0], lines
    for option in ("--frames", "--size"):
        with pytest.raises(SystemExit):
            orbit.main([str(scene), option, "0"])
        assert f"{option}: '0' is not a positive whole number" in capsys.readouterr().err.splitlines()[-1]


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
