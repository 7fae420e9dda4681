"""Damaged files: each must be refused in one line that names it, and nothing is written."""

import io
import json
import random

import numpy as np
import pytest
import trimesh
from PIL import Image

from experiments import reproduce, train
from experiments.config.compose import configure
from experiments.running.run import data_source
from experiments.tasks import images, rendering, shape
from tests.faults.places import refusal

pytestmark = pytest.mark.slow
SMOKE = ("profile=smoke", "tracking=none")


def damages(content):
    """`content` damaged in ways of which none leaves a file that can be used."""
    chance = random.Random(11)
    noise = bytes(chance.randrange(256) for _ in range(200))
    cuts = [content[: int(len(content) * share)] for share in (0.02, 0.3, 0.6)]
    return [b"", b"<html>404</html>", noise, *cuts, noise[:20] + content[20:], b"\x1f\x8b" + noise]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Data and caches of the test's own."""
    monkeypatch.setenv("RWF_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    forget()
    yield
    forget()


def forget():
    """Let tasks read their files anew."""
    for kept in (images._images, rendering._views, shape._surface):
        kept.cache_clear()


@pytest.fixture
def command(capsys, monkeypatch):
    """command(main, words): exit code and standard error of a command that is called in this process."""

    def call(main, words):
        monkeypatch.setattr("sys.argv", ["command", *words])  # which Hydra reads
        try:
            code = main(list(words))
        except SystemExit as stopped:
            code = stopped.code
        return code or 0, capsys.readouterr().err

    return call


@pytest.fixture
def each_refused(command, record_property):
    """each_refused(path, contents, main, words): put each content in the file's place and see it refused."""

    def run(path, contents, main, words):
        whole = path.read_bytes()
        for number, content in enumerate(contents):
            path.write_bytes(content)
            forget()
            code, errors = command(main, words)
            try:
                line = refusal(code, errors, path.name)
            except AssertionError as error:
                raise AssertionError(f"{path.name}, damage {number}: {error}") from error
        path.write_bytes(whole)
        record_property(
            "seen", f"{len(contents)} damaged files, a line for each, nothing written: “{shown(line, path)}”"
        )

    return run


def shown(line, path):
    return line.replace(str(path.parent), "...")


@pytest.fixture
def training_refused(each_refused, tmp_path):
    """training_refused(path, contents, *words): as each_refused, of a run whose undamaged data can be read."""

    def run(path, contents, *words):
        forget()
        assert data_source(configure([*SMOKE, *words])).stand_in is None, "the undamaged data was not found"
        each_refused(path, contents, train.main, [*SMOKE, f"runs={tmp_path / 'runs'}", *words])
        assert not list(tmp_path.glob("runs/*/*"))

    return run


@pytest.mark.reliability("Meshes that are cut short, empty, or of another kind.")
@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_meshes(tmp_path, training_refused, encoding):
    path = tmp_path / "data" / "meshes" / "dragon.ply"
    path.parent.mkdir()
    path.write_bytes(trimesh.creation.icosphere(subdivisions=2).export(file_type="ply", encoding=encoding))
    training_refused(path, damages(path.read_bytes()), "experiment=shape_dragon")


@pytest.mark.reliability("Archives of images that are cut short, empty, or of another kind.")
def test_archives(tmp_path, training_refused):
    pixels = np.zeros((2, 512, 512, 3), np.uint8)
    contents = []
    for arrays in ({"other": pixels}, {"test_data": pixels[:, :9]}, {"test_data": pixels.astype(np.int64)}):
        np.savez_compressed(file := io.BytesIO(), **arrays)
        contents.append(file.getvalue())
    path = tmp_path / "data" / "data_div2k.npz"
    np.savez_compressed(path, test_data=pixels)
    training_refused(path, [*damages(path.read_bytes()), *contents], "experiment=image_natural")


@pytest.fixture
def views(tmp_path):
    """A folder of NeRF-synthetic with two views in each part."""
    folder = tmp_path / "data" / "nerf_synthetic" / "lego"
    for part in ("train", "val", "test"):
        (folder / part).mkdir(parents=True)
        names = [f"./{part}/r_{n}" for n in range(2)]
        frames = [{"file_path": name, "transform_matrix": np.eye(4).tolist()} for name in names]
        (folder / f"transforms_{part}.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames}))
        for name in names:
            Image.effect_noise((20, 20), 50).convert("RGBA").save(folder / f"{name}.png")
    return folder


VIEWS = ("experiment=nerf_lego", "+task.accept_missing=true")


@pytest.mark.reliability("Views that are cut short, empty, gray, or of another kind.")
def test_views(views, training_refused):
    path = views / "train" / "r_1.png"
    Image.effect_noise((20, 20), 50).save(gray := io.BytesIO(), "PNG")
    training_refused(path, [*damages(path.read_bytes()), gray.getvalue()], *VIEWS)


@pytest.mark.reliability("Lists of views that are cut short, empty, incomplete, or of another kind.")
def test_lists_of_views(views, training_refused):
    path = views / "transforms_train.json"
    content = json.loads(path.read_text())
    frame = {**content["frames"][0], "transform_matrix": [[1.0]]}
    wrong = [[], {}, {"frames": content["frames"]}, {**content, "camera_angle_x": "wide"}]
    wrong += [{**content, "frames": frames} for frames in ([{}], 3, [[1]], [frame])]
    contents = [json.dumps(value).encode() for value in wrong]
    training_refused(path, [*contents, *damages(path.read_bytes())], *VIEWS)


@pytest.fixture
def finished(tmp_path, command):
    """The result of a finished run, and the words that find it finished."""
    words = ["experiment=regression_1d", *SMOKE, f"runs={tmp_path / 'finished'}"]
    code, errors = command(train.main, words)
    assert code == 0, errors
    (path,) = tmp_path.glob("finished/*/*/result.json")
    return path, words


@pytest.mark.reliability(
    "Results of finished runs that are cut short, empty, incomplete, or of another kind."
)
def test_results(finished, each_refused):
    path, words = finished
    row = json.loads(path.read_text())["rows"][0]
    wrong = [[], {"rows": {}}, {"rows": [3]}, {"rows": [{}]}, {"rows": [{**row, "extra": 1}]}]
    wrong += [
        {"rows": [{**row, key: None}]} for key in ("metrics", "seed", "data", "items", "status", "metric")
    ]
    contents = [json.dumps(value).encode() for value in wrong]
    each_refused(path, [*contents, *damages(path.read_bytes())], train.main, words)


@pytest.mark.reliability("Files of rows that are cut short, of another kind, or have a line that is no row.")
def test_rows(finished, each_refused, command, tmp_path):
    row = json.loads(finished[0].read_text())["rows"][0]
    path = tmp_path / "results" / "smoke" / "rows" / "regression_1d.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(row) + "\n")
    line = path.read_bytes()
    words = ["figure_2", "--profile", "smoke", "--dry-run", "--results", str(tmp_path / "results")]
    words += ["--runs", str(tmp_path / "none")]
    assert command(reproduce.main, words)[0] == 0, "the undamaged rows were refused"
    contents = [content for content in damages(line) if content] + [line + line[:50], line + b"[]\n"]
    each_refused(path, contents, reproduce.main, words)
