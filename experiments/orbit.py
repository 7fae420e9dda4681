"""Fly around a trained scene: a GIF or MP4 of one or several runs of inverse rendering, side by side.

    python -m experiments.orbit runs/nerf_lego/<id> [...] [--frames 48] [--size 200] [--output output/orbit.gif]

The camera goes once around the vertical axis at the distance and opening angle of the training views.
MP4 needs the package imageio-ffmpeg.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as imageio
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from experiments.arguments import positive
from experiments.command import exit_code
from experiments.config.compose import ConfigError
from experiments.datasets.scene import focal_length, look_at_origin
from experiments.files import typed_path, write_atomically
from experiments.tasks.pixels import to_bytes
from experiments.tasks.rendering import InverseRendering
from experiments.training import trained

FRAMES_PER_SECOND = 16
KINDS = {
    ".gif": {"duration": 1000 / FRAMES_PER_SECOND, "loop": 0},
    ".mp4": {"fps": FRAMES_PER_SECOND, "plugin": "FFMPEG"},
}
ELEVATION = 30.0  # degrees above the horizontal


def poses(frames: int, elevation: float) -> np.ndarray:
    """Camera-to-world matrices (frames, 4, 4) of one turn around the vertical axis; `elevation` in degrees."""
    turns = 2 * np.pi * np.arange(frames) / frames
    return np.stack([look_at_origin(turn, np.deg2rad(elevation)) for turn in turns]).astype(np.float32)


def orbit(
    folder: Path, frames: int, size: int, elevation: float = ELEVATION, item: int = 0, seed: int = 0
) -> np.ndarray:
    """Frames uint8 (frames, size, size, 3) of the scene trained in `folder`, of its `item` and `seed` as in `trained`.

    Raises ConfigError where there is no trained scene.
    """
    network, task = trained.load(folder, item, seed)
    if not isinstance(task, InverseRendering):
        raise ConfigError(f"{folder} is no run of inverse rendering: choose one of experiment=nerf_lego")
    focal = jnp.float32(focal_length(size))
    view = jax.jit(lambda pose: to_bytes(task.view(network, pose, (size, size), focal)))
    cameras = tqdm(poses(frames, elevation), desc=folder.name, unit=" frames", disable=None)
    return np.stack([np.asarray(view(pose)) for pose in cameras])


def side_by_side(orbits: Sequence[np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Frames of all orbits next to each other, each with its label in the corner."""
    return np.stack(
        [
            np.concatenate([_labelled(image, label) for image, label in zip(images, labels, strict=True)], 1)
            for images in zip(*orbits, strict=True)
        ]
    )


def _labelled(image: np.ndarray, label: str) -> np.ndarray:
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text((4, 2), label, fill="white", stroke_width=1, stroke_fill="black")
    return np.asarray(picture)


def write_film(path: Path, frames: np.ndarray) -> None:
    """Write `frames` (n, height, width, 3) in the kind of film that `path` ends in. Raises ConfigError."""
    film, suffix = io.BytesIO(), path.suffix.lower()
    try:
        imageio.imwrite(film, frames, extension=suffix, **KINDS[suffix])
    except ImportError as error:
        raise ConfigError(
            f"writing {path.name} needs imageio-ffmpeg: python -m pip install --editable '.[experiments,video]'"
        ) from error
    write_atomically(path, lambda file: file.write(film.getvalue()))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m experiments.orbit", description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=typed_path, metavar="RUN", help="a finished run's folder")
    parser.add_argument("--frames", type=positive, default=48)
    parser.add_argument("--size", type=positive, default=200, help="pixels a side of each view")
    parser.add_argument("--elevation", type=float, default=ELEVATION, help="degrees above the horizontal")
    parser.add_argument("--output", type=typed_path, default=Path("output/orbit.gif"), help=".gif or .mp4")
    options = parser.parse_args(arguments)
    return exit_code(lambda: fly(options))


def fly(options: argparse.Namespace) -> int:
    """Write the film; return the exit code."""
    if options.output.suffix.lower() not in KINDS:
        raise ConfigError(f"{options.output} must end in {' or '.join(KINDS)}")
    films = [orbit(folder, options.frames, options.size, options.elevation) for folder in options.folders]
    labels = [folder.name.split("-")[0] for folder in options.folders]
    write_film(options.output, side_by_side(films, labels))
    print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
