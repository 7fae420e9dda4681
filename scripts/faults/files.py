"""Damaged files: each must be refused in one line that names it."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import reproduce, train
from experiments.config.compose import configure
from experiments.running import run as runs
from scripts.faults.places import Ended, expect, in_process, telling

SEED = 11


def files(folder: Path, quick: bool) -> str:
    """Meshes, archives, photographs, lists of views, results and rows that are cut short, empty, or of another kind."""
    before = dict(os.environ)
    os.environ |= {"RWF_DATA": str(folder / "data"), "RWF_CACHE": str(folder / "cache")}
    (folder / "data").mkdir()
    chance = random.Random(SEED)
    counts = []
    try:
        for trial in (_mesh, _archive, _views, _result, _rows):
            counts.append(trial(folder, chance, 3 if quick else None))
    finally:
        os.environ.clear()
        os.environ.update(before)
    names = ("meshes", "archives of images", "views and their lists", "results of runs", "files of rows")
    parts = ", ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
    return f"{sum(counts)} damaged files ({parts}), one line each that names the file, nothing written"


def damages(content: bytes, chance: random.Random) -> list[bytes]:
    """`content` damaged in ways of which none leaves a file that can be used."""
    noise = bytes(chance.randrange(256) for _ in range(200))
    cuts = [content[: int(len(content) * share)] for share in (0.02, 0.3, 0.6)]
    return [b"", b"<html>404</html>", noise, *cuts, noise[:20] + content[20:], b"\x1f\x8b" + noise]


def _each(path: Path, contents: Sequence[bytes], limit: int | None, refuse: Callable[[], Ended]) -> int:
    """Put each damaged content in place of a file and see it refused; then put the file back."""
    whole = path.read_bytes()
    chosen = list(contents)[:limit]
    for number, content in enumerate(chosen):
        path.write_bytes(content)
        _forget()
        with telling(f"{path.name}, damage {number}"):
            refuse().refused(path.name)
    path.write_bytes(whole)
    _forget()
    return len(chosen)


def _forget() -> None:
    """Let tasks read their files anew."""
    from experiments.tasks import images, rendering, shape

    images._images.cache_clear()
    rendering._views.cache_clear()
    shape._surface.cache_clear()


def _training(folder: Path, *words: str) -> Ended:
    place = folder / "runs"
    ended = in_process(train.main, ["profile=smoke", "tracking=none", f"runs={place}", *words])
    expect(not list(place.glob("*/*")), "files were written")
    return ended


def _source(*words: str) -> None:
    """Raise unless the undamaged data is read."""
    found = runs.data_source(configure(["profile=smoke", *words]))
    expect(found.stand_in is None, "the undamaged data was not found")


def _mesh(folder: Path, chance: random.Random, limit: int | None) -> int:
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=2)
    word, count = "experiment=shape_dragon", 0
    for encoding in ("binary", "ascii"):
        path = folder / "data" / "meshes" / "dragon.ply"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(ball.export(file_type="ply", encoding=encoding))
        _forget()
        _source(word)
        count += _each(path, damages(path.read_bytes(), chance), limit, lambda: _training(folder, word))
    return count


def _archive(folder: Path, chance: random.Random, limit: int | None) -> int:
    path, word = folder / "data" / "data_div2k.npz", "experiment=image_natural"
    images = np.zeros((2, 512, 512, 3), np.uint8)
    np.savez_compressed(path, test_data=images)
    whole = path.read_bytes()
    _forget()
    _source(word)
    others = []
    for arrays in ({"other": images}, {"test_data": images[:, :9]}, {"test_data": images.astype(np.int64)}):
        np.savez_compressed(path, **arrays)
        others.append(path.read_bytes())
    path.write_bytes(whole)
    return _each(path, [*damages(whole, chance), *others], limit, lambda: _training(folder, word))


def _views(folder: Path, chance: random.Random, limit: int | None) -> int:
    from PIL import Image

    lego = folder / "data" / "nerf_synthetic" / "lego"
    words = ("experiment=nerf_lego", "+task.accept_missing=true")
    pose = np.eye(4).tolist()
    for part in ("train", "val", "test"):
        (lego / part).mkdir(parents=True)
        frames = [{"file_path": f"./{part}/r_{n}", "transform_matrix": pose} for n in range(2)]
        (lego / f"transforms_{part}.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames}))
        for n in range(2):
            Image.effect_noise((20, 20), 50).convert("RGBA").save(lego / part / f"r_{n}.png")
    _forget()
    _source(*words)
    picture, listing = lego / "train" / "r_1.png", lego / "transforms_train.json"
    content = json.loads(listing.read_text())
    wrong: list[Any] = [[], {}, {"frames": content["frames"]}, {**content, "frames": [{}]}]
    wrong += [{**content, "frames": 3}, {**content, "camera_angle_x": "wide"}, {**content, "frames": [[1]]}]
    wrong.append({**content, "frames": [{**content["frames"][0], "transform_matrix": [[1.0]]}]})
    listings = [json.dumps(value).encode() for value in wrong]
    gray = io.BytesIO()
    Image.effect_noise((20, 20), 50).save(gray, "PNG")
    pictures = [*damages(picture.read_bytes(), chance), gray.getvalue()]
    count = _each(picture, pictures, limit, lambda: _training(folder, *words))
    # A list that is cut short is not JSON; the first bytes alone may be changed without harm to it.
    listings += [part for part in damages(listing.read_bytes(), chance)]
    return count + _each(listing, listings, limit, lambda: _training(folder, *words))


def _result(folder: Path, chance: random.Random, limit: int | None) -> int:
    words = ["experiment=regression_1d", "profile=smoke", "tracking=none", f"runs={folder / 'finished'}"]
    ended = in_process(train.main, words)
    expect(ended.code == 0, f"the undamaged run failed: {ended.errors[-500:]}")
    (path,) = (folder / "finished").glob("*/*/result.json")
    row = json.loads(path.read_text())["rows"][0]
    wrong: list[Any] = [[], {"rows": {}}, {"rows": [3]}, {"rows": [{}]}, {"rows": [{**row, "extra": 1}]}]
    wrong += [
        {"rows": [{**row, key: None}]} for key in ("metrics", "seed", "data", "items", "status", "metric")
    ]
    contents = [*(json.dumps(value).encode() for value in wrong), *damages(path.read_bytes(), chance)]
    return _each(path, contents, limit, lambda: in_process(train.main, words))


def _rows(folder: Path, chance: random.Random, limit: int | None) -> int:
    path = folder / "results" / "smoke" / "rows" / "regression_1d.jsonl"
    path.parent.mkdir(parents=True)
    (source,) = (folder / "finished").glob("*/*/result.json")
    row = json.loads(source.read_text())["rows"][0]
    path.write_text(json.dumps(row) + "\n")
    line = path.read_bytes()
    words = ["figure_2", "--profile", "smoke", "--dry-run", "--results", str(folder / "results")]
    words += ["--runs", str(folder / "none")]
    expect(in_process(reproduce.main, words).code == 0, "the undamaged rows were refused")
    contents = [part for part in damages(line, chance) if part] + [line + line[:50], line + b"[]\n"]
    return _each(path, contents, limit, lambda: in_process(reproduce.main, words))
