"""Posed views of one scene for inverse rendering (paper, section 4.3 and appendix J: the Lego scene)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from experiments.datasets import scene
from experiments.datasets.local import check_shape, locate, read_archive, reading, reduce_area, unit_range
from experiments.datasets.transforms import Listing, check_cameras, read_listing
from experiments.files import arrays_checksum, cached_arrays
from experiments.task import Source

PARTS = {"train": 100, "val": 7, "test": 13}  # views, in this order, in lego_400.npz
EVERY = 16  # of the official 100 validation and 200 test views, each 16th is used
ARCHIVE = "lego_400.npz"
FOLDER = "nerf_synthetic/lego"


class Views(NamedTuple):
    """`images` float32 (n, size, size, 3) in [0, 1]; `poses` float32 (n, 4, 4), camera to world; `names`.

    The columns of a pose are the camera's right, up and backward directions and its position. `focals` (n,) are
    focal lengths in pixels.
    """

    images: np.ndarray
    poses: np.ndarray
    names: tuple[str, ...]
    focals: np.ndarray


class Scene(NamedTuple):
    """The views of one scene, and where they came from."""

    train: Views
    validation: Views
    test: Views
    source: Source


def lego(size: int = 400, *, real: bool | None = None, accept_missing: bool = False) -> Scene:
    """100 training, 7 validation and 13 test views of the Lego scene at `size` pixels.

    From `lego_400.npz` or else the official folder of NeRF-synthetic, whose views of 800 pixels are
    averaged over blocks; else the generated scene of `experiments.datasets.scene`, drawn at `size`. The
    colours are the first three channels as stored, not multiplied by the fourth, on black, as in the
    notebook of Tancik et al. (2020). `accept_missing` takes the views of an incomplete folder that exist.
    `real` is as in `local.locate`.

    Raises FileNotFoundError for data insisted on and for a view that is listed but absent, ValueError for
    a damaged file and for a `size` that does not divide the pixels there are.
    """
    path = locate(ARCHIVE, FOLDER, real=real)
    if path is None:
        return generated_scene(size)
    if path.is_dir():
        return read_folder(path, size, accept_missing=accept_missing)
    return read_lego_archive(path, size)


def read_lego_archive(path: Path, size: int) -> Scene:
    """The views of an npz file with `images` (120, h, h, 3 or 4), `poses` (120, 4, 4) and `focal`, in order.

    Raises ValueError, naming the file, where it is damaged or of another form.
    """
    total = sum(PARTS.values())
    shapes = {"images": (total, None, None, None), "poses": (total, 4, 4), "focal": ()}
    arrays = read_archive(path, shapes)
    images, focal = arrays["images"], float(arrays["focal"])
    side = images.shape[1]
    if images.shape[2] != side or images.shape[3] not in (3, 4):
        raise ValueError(f"{path} cannot be used: 'images' has shape {images.shape}, not (n, h, h, 3 or 4)")
    names = [f"{part}-{index:02d}" for part, count in PARTS.items() for index in range(count)]
    with reading(path):
        if not (focal > 0 and np.isfinite(focal)):
            raise ValueError(f"its focal length of {focal:g} pixels is not a positive number")
        check_cameras(names, arrays["poses"])
    images = reduce_area(unit_range(path, "images", images[..., :3]), size)
    return _assemble(images, arrays["poses"], names, PARTS, focal * size / side, f"Lego ({path.name})", None)


def read_folder(path: Path, size: int, *, accept_missing: bool = False) -> Scene:
    """The views of a folder of NeRF-synthetic: all training views, each 16th validation and test view.

    With `accept_missing`, views without a file are left out, and 13 (or 7, or as many as there are) are
    spread over those that remain; no validation view is then needed. Raises FileNotFoundError that names
    the first absent file, ValueError for a damaged one.
    """
    parts = {part: _listed(path, part, accept_missing) or Listing([], []) for part in PARTS}
    for part in ("train", "test"):
        if not parts[part].frames:
            raise FileNotFoundError(
                f"{path} has no views of its {part} part: unpack nerf_synthetic.zip again"
            )
    focal = parts["train"].focals[0]
    for part, listing in parts.items():
        other = listing.focals[0] if listing.focals else focal
        if not np.isclose(other, focal, rtol=1e-6):
            raise ValueError(
                f"{path / f'transforms_{part}.json'} cannot be used: its focal length of {other:.6g} widths "
                f"is not that of the train part, {focal:.6g}"
            )
    frames = [frame for listing in parts.values() for frame in listing.frames]
    images = np.stack(
        [
            _read_view(file, size)
            for file, _ in tqdm(frames, desc="reading views", unit=" views", disable=None)
        ]
    )
    poses = np.stack([pose for _, pose in frames])
    names = [f"{file.parent.name}/{file.stem}" for file, _ in frames]
    counts = {part: len(listing.frames) for part, listing in parts.items()}
    return _assemble(images, poses, names, counts, focal * size, f"Lego ({path.name})", None)


def generated_scene(size: int) -> Scene:
    """The stand-in: views of boxes and spheres, traced once for each `size` and kept in the cache."""
    poses = scene.cameras(*PARTS.values())
    choices = {"scene": "boxes and spheres", "version": 1, "size": size, "parts": PARTS}
    arrays, _ = cached_arrays("scene", choices, lambda: {"images": scene.render(poses, size)})
    images = arrays["images"].astype(np.float32) / np.float32(255)
    names = [f"{part}-{index:02d}" for part, count in PARTS.items() for index in range(count)]
    return _assemble(images, poses, names, PARTS, scene.focal_length(size), "generated scene", "Lego")


def _assemble(images, poses, names, counts, focal: float, name: str, stand_in: str | None) -> Scene:
    poses = poses.astype(np.float32)
    checksum = arrays_checksum({"images": images, "poses": poses, "focal": np.array(focal)})
    edges = np.cumsum([0, *counts.values()])
    views = [
        Views(np.ascontiguousarray(images[a:b]), poses[a:b], tuple(names[a:b]), np.full(b - a, float(focal)))
        for a, b in pairwise(edges)
    ]
    return Scene(*views, Source(name, checksum, stand_in))


def _listed(path: Path, part: str, accept_missing: bool) -> Listing | None:
    """The camera, files and poses of the views of one part that are to be used; None where it may be absent."""
    file = path / f"transforms_{part}.json"
    if not file.exists():
        if accept_missing and part == "val":
            return None
        raise FileNotFoundError(f"{file} is missing: unpack nerf_synthetic.zip again")
    listing = read_listing(file)
    frames = listing.frames
    with reading(file):
        focal = listing.one_focal() if frames else 0.0
    if not accept_missing:
        frames = frames if part == "train" else frames[::EVERY][: PARTS[part]]
        absent = [image for image, _ in frames if not image.exists()]
        if absent:
            count = f"{len(absent)} of {len(frames)} views"
            raise FileNotFoundError(f"{absent[0]} is missing ({count}): unpack nerf_synthetic.zip again")
    else:
        frames = [frame for frame in frames if frame[0].exists()]
        if part != "train" and len(frames) > PARTS[part]:
            chosen = np.linspace(0, len(frames) - 1, PARTS[part]).round().astype(int)
            frames = [frames[index] for index in chosen]
    with reading(file):
        check_cameras([image.stem for image, _ in frames], [pose for _, pose in frames])
    return Listing([focal] * len(frames), frames)


def _read_view(file: Path, size: int) -> np.ndarray:
    with reading(file):
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("RGBA") if image.mode == "P" else image)
        check_shape(file.name, pixels, (image.height, image.height, None))
        if pixels.shape[2] not in (3, 4) or pixels.dtype != np.uint8:
            raise ValueError(f"it is {image.mode}, not 8-bit RGB or RGBA")
    return reduce_area(pixels[None, ..., :3].astype(np.float32) / np.float32(255), size)[0]
