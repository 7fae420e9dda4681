"""Images of the user, of any kind that Pillow or tifffile reads, as three channels in [0, 1]."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from experiments.datasets.local import reading
from experiments.datasets.own.paths import existing, item_names, source_name
from experiments.files import arrays_checksum
from experiments.task import Source

MOST_PIXELS = 100_000_000
SMALLEST = 8  # pixels a side, after the reduction too
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif")


def own_images(files: Sequence[str], size: int) -> tuple[np.ndarray, tuple[str, ...], Source]:
    """The images of `files`: float32 (n, height, width, 3) in [0, 1], their names, and their source.

    Images whose longer side exceeds `size` pixels are reduced to it by area means; none is enlarged. Raises
    FileNotFoundError and ValueError, naming the file, for one that is absent, no image, of one colour, too large or
    too small, or of another shape than the first.
    """
    paths = existing(files, "task.files")
    images = [_checked(path, reduced(read_image(path), size)) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            first, own = (f"{i.shape[1]} x {i.shape[0]}" for i in (images[0], image))
            raise ValueError(
                f"{path} has {own} pixels at this size and {paths[0].name} {first}: the images of one run are "
                "alike; python -m experiments.compare takes such files together"
            )
    stacked = np.stack(images)
    names = item_names(paths)
    return stacked, names, Source(source_name(names), arrays_checksum({"images": stacked}))


def read_image(path: Path) -> np.ndarray:
    """The image of a file, upright: float32 (height, width, 3) in [0, 1].

    Grey becomes three equal channels; what is transparent lies on white. Sixteen bits are kept of grey images and
    of TIFF. Raises ValueError, naming the file, where it is no image or has too many pixels.
    """
    with reading(path, " as an image"), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is another
        try:
            with Image.open(path) as image:
                _check_pixels(image.width * image.height)
                return _channels(ImageOps.exif_transpose(image))
        except Image.DecompressionBombError:
            _check_pixels(MOST_PIXELS + 1)
        except UnidentifiedImageError:
            if path.suffix.lower() not in (".tif", ".tiff"):
                raise ValueError("it is no image of a known kind, or damaged") from None
        return _tiff(path)


def reduced(image: np.ndarray, size: int) -> np.ndarray:
    """`image` (height, width, channels) with its longer side reduced to `size` pixels; smaller ones as they are."""
    height, width = image.shape[:2]
    if max(height, width) <= size:
        return np.ascontiguousarray(image, np.float32)
    scale = size / max(height, width)
    target = max(1, round(width * scale)), max(1, round(height * scale))
    channels = np.moveaxis(image.astype(np.float32), -1, 0)
    return np.stack(
        [np.asarray(Image.fromarray(c).resize(target, Image.Resampling.BOX)) for c in channels], -1
    )


def _check_pixels(count: int) -> None:
    if count > MOST_PIXELS:
        raise ValueError(f"it has more than {MOST_PIXELS // 10**6} million pixels: make it smaller first")


def _channels(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        return _three(np.asarray(image).astype(np.float32) / np.float32(65535))
    if image.mode == "F":
        return _three(np.asarray(image, np.float32))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        own = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", own.size, "white"), own)
    return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def _tiff(path: Path) -> np.ndarray:
    import tifffile

    array = tifffile.imread(path)
    _check_pixels(array.size // (array.shape[-1] if array.ndim == 3 else 1))
    if np.issubdtype(array.dtype, np.integer):
        array = array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 1):
        return _three(array.reshape(array.shape[:2]))
    if array.ndim != 3 or array.shape[-1] not in (3, 4):
        raise ValueError(f"its shape is {array.shape}, not height, width and 1, 3 or 4 channels")
    colours, alpha = array[..., :3], array[..., 3:]
    return (colours * alpha + 1 - alpha if alpha.size else colours).astype(np.float32)


def _three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)


def _checked(path: Path, image: np.ndarray) -> np.ndarray:
    with reading(path, " as an image"):
        if min(image.shape[:2]) < SMALLEST:
            raise ValueError(
                f"it has {image.shape[1]} x {image.shape[0]} pixels at this size: at least {SMALLEST} a side are needed"
            )
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            raise ValueError(
                "it has values that are not finite or outside [0, 1]: convert it to 8 or 16 bits"
            )
        if (image.max(axis=(0, 1)) == image.min(axis=(0, 1))).all():
            raise ValueError("it has one colour: there is nothing to learn")
    return image
