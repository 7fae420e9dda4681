"""Axial brain slices for computed tomography (paper, section 4.2 and appendix H: ATLAS)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.datasets.local import EMBEDDED, locate, read_archive, reading, reduce_area
from experiments.files import arrays_checksum, write_atomically
from experiments.task import Source

SIDE = 512  # pixels of a slice, and slices of the resized volume
EMBEDDED_SLICES = EMBEDDED / "colin27_20.png"  # one below the other
MARGIN = 50  # slices dropped at either end
SLICES = 20
SMALLEST = 32  # voxels along an axis; a volume below it is not a brain volume

ATLAS = ("brain/atlas.nii.gz", "brain/atlas.nii")
COLIN27 = ("brain/ch2.nii.gz", "brain/ch2.nii", "brain/colin27_20x512.npz")


def brain_slices(
    count: int = SLICES, size: int = SIDE, *, real: bool | None = None, seed: int = 0
) -> tuple[np.ndarray, tuple[str, ...], Source]:
    """Axial slices as float32 (count, size, size) in [0, 1], their names, and their source.

    The ATLAS volume of the user where there is one; else the free Colin27 volume or its prepared slices;
    else the embedded slices of Colin27 at 256 pixels. All but ATLAS are marked as a stand-in. ATLAS is
    given out on request only, so `real=True` accepts Colin27 as well, but not the embedded slices. `seed`
    picks the slices of a volume; prepared slices are taken in their order.

    Raises FileNotFoundError for data insisted on, ValueError for a damaged or unsuitable file, for a
    `size` that does not divide the pixels there are, and for more slices than there are.
    """
    if not 1 <= count <= SLICES:
        raise ValueError(f"asked for {count} brain slices: there are {SLICES}")
    path = locate(*ATLAS, *COLIN27, real=real) or EMBEDDED_SLICES
    if path == EMBEDDED_SLICES:
        images, heights = _embedded(count)
    elif path.suffix == ".npz":
        images, heights = _prepared(path, count)
    else:
        heights = slice_heights(seed)[:count]
        images = volume_slices(path, heights)
    images = np.ascontiguousarray(reduce_area(images.astype(np.float32), size))
    names = tuple(f"slice-{height:03d}" for height in heights)
    kind = "ATLAS" if path.name.startswith("atlas") else "Colin27"
    source = Source(
        f"{kind} ({path.name})", arrays_checksum({"images": images}), None if kind == "ATLAS" else "ATLAS"
    )
    return images, names, source


def slice_heights(seed: int) -> np.ndarray:
    """Indices of 20 slices among the 512 of a resized volume, in random order, none near another.

    One is drawn from each of 20 equal ranges between the margins: an entirely free draw would often
    bring near-duplicates, which count twice in every mean.
    """
    random = np.random.default_rng([seed, SLICES])
    edges = np.linspace(MARGIN, SIDE - MARGIN, SLICES + 1)
    return random.permutation(np.floor(random.uniform(edges[:-1], edges[1:])).astype(int))


def read_volume(path: Path) -> np.ndarray:
    """A NIfTI volume as float32 (x to the right, y to the front, z upwards), negative values set to zero.

    Raises ValueError, naming the file, where it is damaged, not of real numbers, not three-dimensional, too
    small or not finite.
    """
    import nibabel

    with reading(path), _errors_raised_alone():
        image = nibabel.as_closest_canonical(nibabel.load(path))
        kind = np.dtype(image.get_data_dtype())
        if kind.kind not in "iuf":
            what = "colours" if kind.fields else kind.name
            raise ValueError(f"its voxels are {what}, not real numbers: convert it to one channel of numbers")
        with np.errstate(over="ignore"):  # told below
            volume = np.asarray(image.dataobj, dtype=np.float32)
        if volume.ndim == 4 and volume.shape[3] == 1:
            volume = volume[..., 0]
        if volume.ndim != 3 or min(volume.shape) < SMALLEST:
            raise ValueError(f"its shape is {volume.shape}, not three axes of at least {SMALLEST} voxels")
        if not np.isfinite(volume).all():
            raise ValueError("it has values that are not finite, or too large for 32 bits")
    return np.maximum(volume, 0)


@contextlib.contextmanager
def _errors_raised_alone() -> Iterator[None]:
    """Keep nibabel from printing as well what it raises of a header."""
    from nibabel import imageglobals

    def not_raised(record: logging.LogRecord) -> bool:
        return record.levelno < imageglobals.error_level

    imageglobals.logger.addFilter(not_raised)
    try:
        yield
    finally:
        imageglobals.logger.removeFilter(not_raised)


def volume_slice(volume: np.ndarray, height: int) -> np.ndarray:
    """Slice `height` of `volume` resized to 512 along each axis by area means: (512, 512), front at the top.

    The right side of the head is on the left, as radiologists show it. Only the slice that is asked for
    is made; the whole resized volume would take half a gigabyte.
    """
    x, y, z = (area_weights(length, SIDE) for length in volume.shape)
    plane = volume @ z[height]
    return (x @ plane @ y.T).T[::-1, ::-1]


def area_weights(length: int, target: int) -> np.ndarray:
    """Matrix (target, length) of the mean over each of `target` equal parts of an axis of `length` voxels.

    >>> area_weights(3, 2)
    array([[0.66666667, 0.33333333, 0.        ],
           [0.        , 0.33333333, 0.66666667]])
    """
    edges = np.linspace(0, length, target + 1)
    lower, upper = edges[:-1, None], edges[1:, None]
    voxels = np.arange(length)
    overlap = np.minimum(upper, voxels + 1) - np.maximum(lower, voxels)
    return np.maximum(overlap, 0) * target / length


def volume_slices(path: Path, heights: np.ndarray) -> np.ndarray:
    """Slices of the volume `path`, (len(heights), 512, 512), each divided by its maximum.

    Raises ValueError, naming the file, as `read_volume` does and for an empty slice.
    """
    volume = read_volume(path)
    images = np.stack([volume_slice(volume, height) for height in heights])
    maxima = images.max(axis=(1, 2), keepdims=True)
    if not maxima.all():
        raise ValueError(f"{path} cannot be used: slice {heights[np.argmin(maxima)]} of {SIDE} is empty")
    return images / maxima


def _prepared(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Slices stored as integers with the value that means one, and their heights."""
    shapes = {"slices": (SLICES, None, None), "scale": (), "index_in_412": (SLICES,)}
    arrays = read_archive(path, shapes)
    slices, scale = arrays["slices"][:count], float(arrays["scale"])
    if slices.shape[1] != slices.shape[2]:
        raise ValueError(
            f"{path} cannot be used: its slices are {slices.shape[1]} by {slices.shape[2]} pixels"
        )
    if not (scale > 0 and slices.min() >= 0 and slices.max() <= scale):
        raise ValueError(f"{path} cannot be used: its slices are not between 0 and scale = {scale:g}")
    return slices / scale, arrays["index_in_412"][:count] + MARGIN


def _embedded(count: int) -> tuple[np.ndarray, np.ndarray]:
    with Image.open(EMBEDDED_SLICES) as strip:
        slices = np.asarray(strip).reshape(SLICES, strip.width, strip.width)
    return slices[:count] / 255, slice_heights(0)[:count]


def embed(volume: Path, target: Path = EMBEDDED_SLICES, size: int = 256) -> None:
    """Write the slices of `volume` that seed 0 picks as an 8-bit strip: how the embedded file was made."""
    images = reduce_area(volume_slices(volume, slice_heights(0)), size)
    strip = Image.fromarray(np.round(255 * images).astype(np.uint8).reshape(-1, size))
    write_atomically(target, lambda file: strip.save(file, "PNG", optimize=True))
