"""Natural photographs and images of text, the two data sets of image regression (paper, section 4.1)."""

from __future__ import annotations

from importlib import resources

import numpy as np
from PIL import Image

from experiments.datasets.local import locate, read_archive, reduce_area, unit_range
from experiments.datasets.text import render_text
from experiments.files import arrays_checksum
from experiments.task import Source

SIDE = 512

# Everyday colour photographs first, then colour photographs of the sky, a tissue and a retina; all are
# files of scikit-image's wheel, so none is fetched.
PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "chelsea": "chelsea.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
    "hubble": "hubble_deep_field.jpg",
    "tissue": "ihc.png",
    "retina": "retina.jpg",
}

Images = tuple[np.ndarray, tuple[str, ...], Source]


def natural_images(count: int = 16, size: int = SIDE, *, real: bool | None = None) -> Images:
    """Colour photographs: float32 (count, size, size, 3) in [0, 1], their names, and their source.

    The 16 DIV2K crops of Tancik et al. (2020) from `data_div2k.npz` (its `test_data`, in their order)
    where that file is at hand; else photographs of scikit-image, cropped to the central square and
    resized to 512 pixels. `size` below 512 averages blocks of pixels. `real` is as in `local.locate`.

    Raises FileNotFoundError for a file insisted on, ValueError for a damaged one, for a `size` that does
    not divide 512, and for more images than there are.
    """
    path = locate("data_div2k.npz", real=real)
    if path is not None:
        return _from_archive(path, count, size, "DIV2K crops", "div2k")
    _check_count(
        count, len(PHOTOGRAPHS), "photographs in scikit-image; data_div2k.npz supplies 16 (data/README.md)"
    )
    names = tuple(PHOTOGRAPHS)[:count]
    images = np.stack([_photograph(PHOTOGRAPHS[name]) for name in names])
    return _finish(images, size, names, "photographs of scikit-image", "DIV2K crops")


def text_images(count: int = 16, size: int = SIDE, *, real: bool | None = None, seed: int = 0) -> Images:
    """Coloured random text on white: float32 (count, size, size, 3) in [0, 1], names, and source.

    The images of Tancik et al. (2020) from `data_2d_text.npz` (its `test_data`) where that file is at
    hand; else images rendered from `seed`. Arguments and errors as for `natural_images`.
    """
    path = locate("data_2d_text.npz", real=real)
    if path is not None:
        return _from_archive(path, count, size, "text images", "text")
    _check_count(count, 10_000, "generated text images")
    images = np.stack([render_text(seed, index, SIDE) for index in range(count)])
    names = tuple(f"text-{index:02d}" for index in range(count))
    return _finish(images, size, names, f"rendered text, seed {seed}", "text images of Tancik et al.")


def _from_archive(path, count: int, size: int, name: str, prefix: str) -> Images:
    array = read_archive(path, {"test_data": (None, SIDE, SIDE, 3)})["test_data"]
    _check_count(count, len(array), f"images in {path}")
    names = tuple(f"{prefix}-{index:02d}" for index in range(count))
    return _finish(unit_range(path, "test_data", array[:count]), size, names, f"{name} ({path.name})", None)


def _finish(
    images: np.ndarray, size: int, names: tuple[str, ...], source: str, stand_in: str | None
) -> Images:
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / np.float32(255)
    images = np.ascontiguousarray(reduce_area(images, size))
    return images, names, Source(source, arrays_checksum({"images": images}), stand_in)


def _check_count(count: int, available: int, what: str) -> None:
    if not 1 <= count <= available:
        raise ValueError(f"asked for {count} images: there are {available} {what}")


def _photograph(file: str) -> np.ndarray:
    """The central square of a photograph of scikit-image, resized to uint8 (512, 512, 3), antialiased."""
    with resources.as_file(resources.files("skimage") / "data" / file) as path:
        if not path.exists():
            raise FileNotFoundError(f"scikit-image lacks its photograph {path}: reinstall scikit-image")
        with Image.open(path) as image:
            image = image.convert("RGB")
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
