"""Wrong configurations and damaged files, generated from right ones: each must end in one clear line."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import reproduce, runs, train
from experiments.configuration import NUMERIC_NODES, compose_config, configure, flatten, group_options
from scripts.faults_common import Broken, Ended, expect

SEED = 11
GROUPS = ("experiment", "parameterization", "embedding", "model", "optimizer", "profile", "tracking")
PASSING = ("task.real_data",)  # false as well as true is right, and so is any string of these:
FREE = ("_target_", "tracking.project", "tracking.entity", "tracking.group", "runs", "reduced")


def configs(folder: Path, quick: bool) -> str:
    """Misspelt keys, wrong types, values out of range, unknown choices, + and ++ additions, broken grammar."""
    count = 24 if quick else 200
    chance = random.Random(SEED)
    lines = set()
    for number in range(count):
        words = _wrong(chance)
        place = folder / "runs"
        ended = in_process(train.main, [*words, f"runs={place}"])
        with _telling(" ".join(words)):
            lines.add(ended.refused("config error: "))
            expect(ended.code == 2, f"exit code {ended.code}")
            expect(not ended.output, f"it printed {ended.output!r}")
            expect(not place.exists() and not list(folder.iterdir()), "files were written")
        if number % 20 == 19 and sys.stderr.isatty():
            print(f"{number + 1} of {count}", file=sys.stderr)
    return f"{count} wrong configurations, {len(lines)} different lines, exit code 2 each, nothing written"


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    try:
        yield
    except Broken as error:
        raise Broken(f"{what}: {error}") from error


def _wrong(chance: random.Random) -> list[str]:
    """The words of a configuration with one thing wrong."""
    base = {"experiment": chance.choice(group_options("experiment")), "profile": "smoke", "tracking": "none"}
    base["parameterization"] = chance.choice(group_options("parameterization"))
    words = [f"{key}={value}" for key, value in base.items()]
    kind = chance.choice(KINDS)
    return kind(words, base, chance)


def _leaves(words: Sequence[str]) -> dict[str, Any]:
    config, _ = compose_config(words)
    nodes = {name: config[name] for name in (*NUMERIC_NODES, "execution")}
    return {key: value for key, value in flatten(nodes).items() if not key.endswith(FREE)}


def _misspelt_key(words: list[str], base: dict, chance: random.Random) -> list[str]:
    leaves = _leaves(words)
    key, value = chance.choice(sorted((k, v) for k, v in leaves.items() if isinstance(v, (int, float, str))))
    node, _, name = key.rpartition(".")
    wrong = f"{node}.{misspell(name, chance)}"
    if wrong in leaves:
        wrong += "_"
    return [*words, f"{chance.choice(['', '+', '++'])}{wrong}={value}"]


def _wrong_type(words: list[str], base: dict, chance: random.Random) -> list[str]:
    leaves = _leaves(words)
    kinds = {
        int: ["many", "[1,2]", "1.5", "true"],
        float: ["much", "[0.1]", "{a:1}"],
        bool: ["7", "[]", "never"],
    }
    keys = sorted(key for key, value in leaves.items() if type(value) in kinds)
    key = chance.choice(keys)
    return [*words, f"{key}={chance.choice(kinds[type(leaves[key])])}"]


def _out_of_range(words: list[str], base: dict, chance: random.Random) -> list[str]:
    leaves = _leaves(words)
    positive = ("steps", "width", "depth", "record_every", "microbatches", "learning_rate", "points", "size")
    positive += ("images", "angles", "functions", "batch_size", "features", "pool", "samples", "decay_steps")
    keys = [key for key in leaves if key.rpartition(".")[2] in positive]
    if chance.random() < 0.2:
        return [*words, chance.choice(["seed=-1", "seeds=0", "seeds=-2", "execution.checkpoint_seconds=0"])]
    return [*words, f"{chance.choice(sorted(keys))}={chance.choice(['0', '-3'])}"]


def _unknown_choice(words: list[str], base: dict, chance: random.Random) -> list[str]:
    leaves = _leaves(words)
    texts = sorted(key for key, value in leaves.items() if isinstance(value, str))
    if texts and chance.random() < 0.5:
        key = chance.choice(texts)
        return [*words, f"{key}={misspell(leaves[key], chance)}"]
    group = chance.choice(GROUPS)
    option = misspell(base.get(group, group_options(group)[0]), chance)
    return [*(word for word in words if not word.startswith(f"{group}=")), f"{group}={option}"]


def _addition(words: list[str], base: dict, chance: random.Random) -> list[str]:
    node = chance.choice(("", "task.", "model.", "trainer.", "optimizer.", "parameterization.", "execution."))
    return [*words, f"{chance.choice(['+', '++'])}{node}{misspell('novelty', chance)}={chance.choice('123')}"]


def _grammar(words: list[str], base: dict, chance: random.Random) -> list[str]:
    broken = [
        "seed=[1,",
        "seed=0,1",
        "trainer.steps={a",
        "task=null",
        "~model",
        "trainer.steps=null",
        "=3",
        "seed",
    ]
    broken += ["model._target_=rwf.models.MPL", "task._target_=nowhere.Task", "trainer.precision=float16"]
    return [*words, chance.choice(broken)]


KINDS = (_misspelt_key, _wrong_type, _out_of_range, _unknown_choice, _addition, _grammar)


def misspell(word: str, chance: random.Random) -> str:
    """`word` with two letters swapped, one left out, or one doubled; never the word itself.

    >>> misspell("steps", random.Random(0)) != "steps"
    True
    """
    while True:
        at = chance.randrange(len(word))
        swapped = word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
        found = chance.choice(
            [swapped, word[:at] + word[at + 1 :], word[:at] + word[at] * 2 + word[at + 1 :]]
        )
        if found not in ("", word):
            return found


def in_process(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> Ended:
    """What a command's `main` would give as a process: exit code, standard output, standard error."""
    output, errors, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["command", *arguments]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main(list(arguments))
    except SystemExit as exit_:
        code = exit_.code
        if isinstance(code, str):
            errors.write(f"{code}\n")
            code = 1
    finally:
        sys.argv = before
    return Ended(code or 0, output.getvalue(), errors.getvalue())


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
        with _telling(f"{path.name}, damage {number}"):
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
