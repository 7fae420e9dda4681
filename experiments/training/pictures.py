"""Arrays as 8-bit images, for trackers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.files import write_atomically

SMALLEST = 8  # pixels a side, below which an array is no picture


def picture(array: np.ndarray) -> np.ndarray | None:
    """`array`, or the first of a stack, as an 8-bit image; None for what is too small or not finite.

    Bytes are taken as they are, colours as being in [0, 1], a scalar field over its own range.
    """
    array = np.asarray(array)
    colour = array.ndim >= 3 and array.shape[-1] == 3
    while array.ndim > 2 + colour:
        array = array[0]
    if array.ndim < 2 or min(array.shape[:2]) < SMALLEST or not np.isfinite(array).all():
        return None
    if array.dtype == np.uint8:
        return array
    array = array.astype(np.float64)  # a range may exceed the largest float32
    low, high = (0.0, 1.0) if colour else (array.min(), array.max())
    return (255 * np.clip((array - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Write an 8-bit image as a file that is whole or absent."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    write_atomically(path, lambda file: file.write(content.getvalue()))


def read_png(path: Path) -> np.ndarray:
    """The image of a file, as `save_png` was given it."""
    with Image.open(path) as image:
        return np.asarray(image)
