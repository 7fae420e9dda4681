"""A scene of the user: views with known cameras, as nerfstudio, instant-ngp and Blender list them.

The world is moved and scaled so that the cameras look at the origin from a mean distance of `DISTANCE`, the one of
the paper's scene, and the distances and frequencies of its setting keep their meaning.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from experiments.datasets.local import reading
from experiments.datasets.nerf import Scene, Views
from experiments.datasets.transforms import check_cameras, image_file, read_listing
from experiments.files import arrays_checksum, typed_path
from experiments.task import Source

LISTING, TRAIN, TEST = "transforms.json", "transforms_train.json", "transforms_test.json"
HELD_OUT = 8  # each 8th view is for testing where the listing does not say which
MOST_TESTS = 13  # as many test views as the paper's scene has
FEWEST = 4
DISTANCE = 4.0  # of the cameras from the origin, on average
SEEN = 0.5  # cosine: what part of the cameras' directions must point towards the common centre


Frame = tuple[Path, np.ndarray, float]  # file, pose and focal length of a view


class Shots(NamedTuple):
    """Files, poses (n, 4, 4) and focal lengths (n,), in widths, of views; how many of them are for training."""

    files: tuple[Path, ...]
    poses: np.ndarray
    train: int
    focals: np.ndarray
    centre: np.ndarray
    scale: float


def own_scene(folder: str, size: int) -> Scene:
    """The views of `folder`, their longer side reduced to `size` pixels, what is transparent on black.

    Raises FileNotFoundError and ValueError, naming the file, where the listing or an image is missing or damaged, for
    images of different sizes, and for cameras that look at nothing in common.
    """
    shots = _shots(folder)
    poses = shots.poses.copy()
    poses[:, :3, 3] = (poses[:, :3, 3] - shots.centre) / shots.scale
    bar = tqdm(shots.files, desc="reading views", unit=" views", disable=None)
    images, shapes = zip(*(_view(file, size) for file in bar), strict=True)
    for file, shape in zip(shots.files, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(
                f"{file} cannot be used as a view: it has {shape[0]} x {shape[1]} pixels and "
                f"{shots.files[0].name} {shapes[0][0]} x {shapes[0][1]}: all views of a scene have one size"
            )
    pixels, poses = np.stack(images), poses.astype(np.float32)
    focals = shots.focals * shapes[0][0] * size / max(shapes[0])
    if (pixels == pixels[0, 0, 0]).all():
        raise ValueError(f"{typed_path(folder)}: all views have one colour: its cameras see nothing")
    checksum = arrays_checksum({"images": pixels, "poses": poses, "focals": focals})
    names = tuple(file.stem for file in shots.files)
    parts = [slice(0, shots.train), slice(0, 0), slice(shots.train, None)]
    views = [Views(pixels[part], poses[part], names[part], focals[part]) for part in parts]
    return Scene(*views, Source(typed_path(folder).absolute().name, checksum))


def placement(folder: str) -> dict[str, Any]:
    """`centre` (3) and `scale` of the scene in the coordinates of its listing."""
    shots = _shots(folder)
    return {"centre": shots.centre.tolist(), "scale": shots.scale}


@functools.lru_cache(maxsize=2)
def _shots(folder: str) -> Shots:
    if not folder:
        raise ValueError("task.folder is missing: name your scene, task.folder=...")
    place = typed_path(folder)
    if not place.is_dir():
        raise FileNotFoundError(f"{place} is no folder: check task.folder")
    listing = next((place / name for name in (LISTING, TRAIN) if (place / name).exists()), None)
    if listing is None:
        raise FileNotFoundError(
            f"{place} has no {LISTING}: write one with nerfstudio, instant-ngp or Blender"
        )
    frames = _frames(listing)
    train, test = _parts(listing, frames)
    if listing.name == TRAIN and (place / TEST).exists():
        train, test = frames, _spread(_frames(place / TEST))
    with reading(listing):
        if len(train) < FEWEST or not test:
            raise ValueError(
                f"it lists {len(train)} views to train on: at least {FEWEST}, and one to test, are needed"
            )
        views = [*train, *test]
        for file, _, _ in views:
            if not file.is_file():
                raise ValueError(f"its view {file.name} is missing: put it where the listing says")
        poses = np.stack([pose for _, pose, _ in views])
        check_cameras([file.stem for file, _, _ in views], list(poses))
        centre, scale = _common_view(poses)
    files, focals = tuple(file for file, _, _ in views), np.array([focal for _, _, focal in views])
    return Shots(files, poses, len(train), focals, centre, scale)


def _frames(path: Path) -> list[Frame]:
    listing = read_listing(path)
    return [(*frame, focal) for frame, focal in zip(listing.frames, listing.focals, strict=True)]


def _parts(listing: Path, frames: Sequence[Frame]) -> tuple[list[Frame], list[Frame]]:
    """Training and test views: as `train_filenames` and `test_filenames` say, or each 8th for testing."""
    content = json.loads(listing.read_text(encoding="utf-8-sig"))
    if content.get("test_filenames"):
        named = {image_file(listing.parent, name) for name in content["test_filenames"]}
        test = [frame for frame in frames if frame[0] in named]
        return [frame for frame in frames if frame[0] not in named], _spread(test)
    return [f for n, f in enumerate(frames) if n % HELD_OUT], _spread(frames[::HELD_OUT])


def _spread(frames: Sequence[Frame]) -> list[Frame]:
    """At most `MOST_TESTS` of `frames`, evenly spread."""
    if len(frames) <= MOST_TESTS:
        return list(frames)
    return [frames[n] for n in np.linspace(0, len(frames) - 1, MOST_TESTS).round().astype(int)]


def _common_view(poses: np.ndarray) -> tuple[np.ndarray, float]:
    """The point nearest to all cameras' axes, and by what to divide so that they are `DISTANCE` from it on average.

    Raises ValueError where there is no such point in front of the cameras.
    """
    forward, positions = -poses[:, :3, 2], poses[:, :3, 3]
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    matrix = across.sum(axis=0)
    if np.linalg.cond(matrix) > 1e6:
        raise ValueError("its cameras look along parallel lines: they see no point in common")
    centre = np.linalg.solve(matrix, (across @ positions[:, :, None]).sum(axis=0)[:, 0])
    away = centre - positions
    distances = np.linalg.norm(away, axis=1)
    towards = np.einsum("ni,ni->n", forward, away) / np.maximum(distances, 1e-12)
    if towards.mean() < SEEN:
        raise ValueError("its cameras look away from each other: they see no point in common")
    return centre, float(distances.mean() / DISTANCE)


def _view(file: Path, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """A view, float32 (height, width, 3) in [0, 1], `size` pixels along its longer side; width and height of the file.

    Pixels stay square: of the shorter side what fills no pixel is cut off, half at each end.
    """
    with reading(file, " as a view"), Image.open(file) as image:
        width, height = image.size
        if max(width, height) < size:
            raise ValueError(f"it has {width} x {height} pixels: fewer than task.size={size}")
        pixels = np.asarray(image.convert("RGBA"), np.float32) / np.float32(255)
    scale = max(width, height) / size
    target = (int(width / scale), int(height / scale))
    if min(target) < 1:
        raise ValueError(f"{file} has {width} x {height} pixels: too narrow for task.size={size}")
    left, top = (width - target[0] * scale) / 2, (height - target[1] * scale) / 2
    box = (left, top, left + target[0] * scale, top + target[1] * scale)
    channels = np.moveaxis(pixels[..., :3] * pixels[..., 3:], -1, 0)
    small = [Image.fromarray(c).resize(target, Image.Resampling.BOX, box=box) for c in channels]
    return np.stack([np.asarray(c) for c in small], axis=-1), (width, height)
