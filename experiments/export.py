"""Take away what a run trained: `python -m experiments.export RUN FILE`, the kind of file by its suffix.

    .png .jpg .tif .webp      the image, slice, shape or scene, at --size pixels
    .ply .obj .stl .off .glb  the shape, in its own coordinates, --resolution cells along its longest side
    .nii.gz .nii .npy         the shape or the slice as a volume
    .mp4 .gif                 a flight around the scene, --frames of --size pixels
    .npz                      all that the run predicted for the item, such as a solution on its grid
    .vtk                      a solution in (x, y) or (x, t) on its grid
    .safetensors .msgpack     the network's weights, folded into plain ones
    .orbax                    the same as a folder that Orbax restores
    .jaxexport                the network as a program that needs JAX alone (jax.export)

RUN is the folder of a finished run. docs/own_data.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from experiments.arguments import positive
from experiments.command import exit_code
from experiments.config.build import ConfigError
from experiments.exporting import networks, pictures, solutions, surfaces
from experiments.files import save_arrays, typed_path
from experiments.orbit import KINDS, orbit, write_film
from experiments.tasks.shape import Shape
from experiments.tasks.tomography import Tomography
from experiments.training import trained
from experiments.training.trained import TrainedRun

MESHES = (".ply", ".obj", ".stl", ".off", ".glb")
VOLUMES = (".nii.gz", ".nii", ".npy")
RESOLUTION = 256  # of meshes and volumes
LARGEST_GRID = 4096
FILM_SIZE = 200

Write = Callable[[TrainedRun, Path, argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: export(options))


def export(options: argparse.Namespace) -> int:
    """Write the file; return the exit code."""
    write = writer(options.file)
    check_target(options.file)
    run = trained.read(options.run, options.item, options.seed)
    write(run, options.file, options)
    written = [options.file, *options.file.rglob("*")] if options.file.is_dir() else [options.file]
    size = sum(file.stat().st_size for file in written if file.is_file())
    print(f"wrote {options.file} ({size:,} bytes)")
    return 0


def writer(path: Path) -> Write:
    """What writes files of the suffix of `path`. Raises ConfigError, naming the suffixes that there are."""
    name = path.name.lower()
    found = [write for suffix, write in WRITERS.items() if name.endswith(suffix)]
    if not found:
        raise ConfigError(f"{path} has no suffix that says what to write: choose {', '.join(WRITERS)}")
    return found[0]


def check_target(path: Path) -> None:
    """Raise ConfigError where `path` is a folder, or lies in what is none."""
    if path.name.lower().endswith(".orbax") and path.exists():
        raise ConfigError(f"{path} exists: remove it, or name another folder")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"the folder of {path} does not exist: make it first")


def picture(run: TrainedRun, path: Path, options: argparse.Namespace) -> None:
    """A picture at the size that is asked for."""
    pictures.write_picture(run, path, options.size)


def mesh(run: TrainedRun, path: Path, options: argparse.Namespace) -> None:
    """The mesh of a shape."""
    if not isinstance(run.task, Shape):
        raise ConfigError(f"{run.folder} trained no shape: {path.suffix} is not for it")
    surfaces.write_mesh(run, path, options.resolution)


def volume(run: TrainedRun, path: Path, options: argparse.Namespace) -> None:
    """A shape on a grid, or the slice of a tomography at the size that is asked for."""
    if isinstance(run.task, Shape):
        surfaces.write_volume(run, path, options.resolution)
    elif isinstance(run.task, Tomography):
        surfaces.write_array(path, pictures.densities(run, options.size)[..., None], np.eye(4))
    else:
        raise ConfigError(f"{run.folder} trained neither a shape nor a slice: {path.suffix} is not for it")


def film(run: TrainedRun, path: Path, options: argparse.Namespace) -> None:
    """A flight around a scene."""
    write_film(
        path, orbit(run.folder, options.frames, options.size or FILM_SIZE, item=run.item, seed=run.seed)
    )


def predictions(run: TrainedRun, path: Path, options: argparse.Namespace) -> None:
    """The arrays that the task predicts."""
    save_arrays(path, run.predictions())


WRITERS: dict[str, Write] = {
    **dict.fromkeys(pictures.FORMATS, picture),
    **dict.fromkeys(MESHES, mesh),
    **dict.fromkeys(VOLUMES, volume),
    **dict.fromkeys(KINDS, film),
    ".npz": predictions,
    ".vtk": lambda run, path, _: solutions.write_vtk(run, path),
    ".safetensors": lambda run, path, _: networks.write_safetensors(run, path),
    ".msgpack": lambda run, path, _: networks.write_msgpack(run, path),
    ".orbax": lambda run, path, _: networks.write_orbax(run, path),
    ".jaxexport": lambda run, path, _: networks.write_program(run, path),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=typed_path, metavar="RUN")
    parser.add_argument("file", type=typed_path, metavar="FILE")
    parser.add_argument("--item", type=int, default=0, help="of the run, counted from 0")
    parser.add_argument("--seed", type=int, default=0, help="of the run, counted from 0")
    parser.add_argument("--size", type=_up_to(pictures.LARGEST), help="pixels of the longer side")
    parser.add_argument("--resolution", type=_up_to(LARGEST_GRID), default=RESOLUTION)
    parser.add_argument("--frames", type=positive, default=48)
    return parser


def _up_to(largest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        found = positive(text)
        if found > largest:
            raise argparse.ArgumentTypeError(f"{text} is above {largest}")
        return found

    return number


if __name__ == "__main__":
    sys.exit(main())
