"""A trained image, slice, shape or scene as a picture of any size."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments.config.build import ConfigError
from experiments.datasets.scene import focal_length
from experiments.files import write_atomically
from experiments.orbit import ELEVATION, poses
from experiments.surface_view import shaded
from experiments.tasks.evaluation import in_blocks
from experiments.tasks.images import ImageRegression
from experiments.tasks.pixels import pixel_grid, to_bytes
from experiments.tasks.rendering import InverseRendering
from experiments.tasks.shape import Shape
from experiments.tasks.tomography import Tomography
from experiments.training.trained import TrainedRun

LARGEST = 32_768  # pixels a side
ROWS = 256  # of a picture that are computed at a time
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}


def write_picture(run: TrainedRun, path: Path, size: int | None) -> None:
    """A picture with `size` pixels along its longer side; None: as many as the run has. Raises ConfigError."""
    pixels = picture(run, size)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, FORMATS[path.suffix.lower()])
    write_atomically(path, lambda file: file.write(content.getvalue()))


def picture(run: TrainedRun, size: int | None) -> np.ndarray:
    """8-bit pixels (height, width) or (height, width, 3) of what the run trained. Raises ConfigError.

    An image or a slice is computed at the pixels that are asked for; a scene is seen from the front of its orbit.
    """
    task = run.task
    if isinstance(task, (ImageRegression, Tomography)):
        return _image(run, size, to_bytes)
    if isinstance(task, InverseRendering):
        size = size or task.size
        view = jax.jit(
            lambda pose: task.view(run.network, pose, (size, size), jnp.float32(focal_length(size)))
        )
        return np.asarray(to_bytes(view(poses(1, ELEVATION)[0])))
    if isinstance(task, Shape):
        inside = np.unpackbits(run.predictions()["prediction"], axis=-1).astype(bool)
        return np.round(255 * shaded(inside, pixels=size or 512)).astype(np.uint8)
    raise ConfigError(f"{run.folder} trained no picture: write its predictions as .npz")


def densities(run: TrainedRun, size: int | None) -> np.ndarray:
    """The slice of a tomography as the network gives it, in [0, 1]: float32 (height, width), sized as its picture."""
    return _image(run, size, lambda image: image.astype(jnp.float32))


def _image(run: TrainedRun, size: int | None, kept: Callable[[jax.Array], jax.Array]) -> np.ndarray:
    """What `kept` makes of the values at all pixels, `size` of them along the longer side; None: as many as trained."""
    shape = run.predictions()["prediction"].shape[:2]
    height, width = (max(1, round(side * (size or max(shape)) / max(shape))) for side in shape)
    colours = jax.jit(lambda points: kept(jax.nn.sigmoid(in_blocks(run.network, points))))
    points = pixel_grid(height, width)
    rows = [
        np.asarray(colours(points[n : n + ROWS].reshape(-1, 2))).reshape(-1, width, colours_of(run))
        for n in range(0, height, ROWS)
    ]
    return np.concatenate(rows).squeeze(axis=-1) if colours_of(run) == 1 else np.concatenate(rows)


def colours_of(run: TrainedRun) -> int:
    """Channels of the network's output."""
    return 3 if isinstance(run.task, ImageRegression) else 1
