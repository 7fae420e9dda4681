"""Slices of the user's volumes, for tomography: NIfTI, arrays, stacks of TIFF, and plain images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.datasets.brain import area_weights
from experiments.datasets.local import reading
from experiments.datasets.own.paths import existing, item_names, source_name
from experiments.files import arrays_checksum
from experiments.task import Source

SUFFIXES = (".nii", ".nii.gz", ".npz", ".npy")
SMALLEST = 8  # voxels along the axes of a slice


def own_slices(
    files: Sequence[str], size: int, index: int | None = None, axis: int | None = None
) -> tuple[np.ndarray, tuple[str, ...], Source]:
    """One slice of each of `files`: float32 (n, size, size) in [0, 1], their names, and their source.

    Slice `index` (the middle one) along `axis` (the last), padded to a square, brought to `size` pixels by area means
    and from its own range to [0, 1]. Raises FileNotFoundError and ValueError, naming the file, for one that is
    absent, no volume, not finite or too small, and for a slice that is not there or has one value.
    """
    paths = existing(files, "task.files")
    images = np.stack([_slice(path, read_array(path), size, index, axis) for path in paths])
    names = item_names(paths)
    return images, names, Source(source_name(names), arrays_checksum({"images": images}))


def read_array(path: Path) -> np.ndarray:
    """The volume of a file, float32 with two or three axes. Raises ValueError, naming the file."""
    with reading(path, " as a volume"):
        array = np.asarray(_read(path))
        if array.ndim == 4:
            array = array[..., 0]  # the first of a series
        if array.dtype.kind not in "iufb" or array.ndim not in (2, 3):
            raise ValueError(
                f"it holds {array.dtype} of shape {array.shape}, not numbers along two or three axes"
            )
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError("it has values that are not finite, or too large for 32 bits")
    return array


def _read(path: Path) -> np.ndarray:
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        import nibabel

        return np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
    if name.endswith(".npy"):
        return np.load(path, allow_pickle=False)
    if name.endswith(".npz"):
        with np.load(path, allow_pickle=False) as archive:
            if len(archive.files) != 1:
                raise ValueError(
                    f"it holds {len(archive.files)} arrays ({', '.join(archive.files)}), not one"
                )
            return archive[archive.files[0]]
    if name.endswith((".tif", ".tiff")):
        import tifffile

        array = tifffile.imread(path)
        return np.moveaxis(array, 0, -1) if array.ndim == 3 else array  # pages come first
    raise ValueError(f"it is not one of {', '.join((*SUFFIXES, '.tif'))}")


def _slice(path: Path, volume: np.ndarray, size: int, index: int | None, axis: int | None) -> np.ndarray:
    with reading(path, " as a volume"):
        if volume.ndim == 3:
            axis = 2 if axis is None else axis
            count = volume.shape[axis]
            index = count // 2 if index is None else index
            if index >= count:
                raise ValueError(f"it has no slice {index} along axis {axis}: it has {count}, counted from 0")
            volume = np.take(volume, index, axis=axis)
        if min(volume.shape) < SMALLEST:
            raise ValueError(
                f"its slice has {volume.shape[0]} x {volume.shape[1]} voxels: at least {SMALLEST} are needed"
            )
        low, high = float(volume.min()), float(volume.max())
        if not high > low:
            raise ValueError(f"slice {index} has one value, {low:g}: choose another with task.slice")
        square = _square((volume - low) / (high - low))
    weights = area_weights(len(square), size)
    image = (weights @ square @ weights.T).astype(np.float32)
    return image.T[::-1] if ".nii" in path.name.lower() else image  # the second axis of a scan points upwards


def _square(image: np.ndarray) -> np.ndarray:
    """`image` in the middle of a square of zeros."""
    side = max(image.shape)
    before = [(side - length) // 2 for length in image.shape]
    return np.pad(image, [(b, side - length - b) for b, length in zip(before, image.shape, strict=True)])
