"""Reference solutions by name: `python -m experiments.solvers NAME [options]`, with --help for those of each.

`cavity` prints the extrema on its centre lines beside the literature's; `darcy`, `diffusion_reaction` and `burgers`
write data of random functions; `refinement` prints the grid-refinement studies that docs/solvers.md keeps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from experiments.arguments import npz, positive
from experiments.files import save_arrays
from experiments.solvers import burgers, cavity, darcy, diffusion_reaction, refinement

OPERATORS = {
    "diffusion_reaction": (diffusion_reaction, "sources", "x, t, source, u"),
    "darcy": (darcy, "log-normal coefficients", "x, y, coefficient, u"),
    "burgers": (burgers, "initial conditions", "x, t, initial, u"),
}


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    options = vars(_parser().parse_args(arguments))
    name = options.pop("name")
    if name == "refinement":
        refinement.show(options["solvers"] or list(refinement.STUDIES))
    elif name == "cavity":
        _cavity(**options)
    else:
        output = options.pop("output")
        if name == "darcy":
            law, scale = options.pop("law"), options.pop("length_scale")
            options["length_scale"] = darcy.length_scale_of(law) if scale is None else scale
        save(output, OPERATORS[name][0].generate(**options))


def _cavity(reynolds: float, resolution: int, elements: int, lid: cavity.Lid, output: Path | None) -> None:
    """Solve, print the centre-line extrema beside the literature's, and write the fields."""
    coefficients = cavity.solve(reynolds, elements, lid)
    print(cavity.comparison(reynolds, cavity.extrema(coefficients), lid))
    if output:
        save(output, cavity.fields(coefficients, resolution))


def _parser() -> argparse.ArgumentParser:
    """A parser with a sub-command for each solver."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.solvers", description=__doc__.splitlines()[0]
    )
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    parts = {}
    for name, (_, inputs, written) in OPERATORS.items():
        parts[name] = part = names.add_parser(name, help=f"solutions for random {inputs}")
        part.add_argument("--functions", type=positive, default=100, help=f"how many {inputs}")
        part.add_argument("--seed", type=int, default=0)
        part.add_argument(
            "--split", choices=("train", "test"), default="test", help="stream of random numbers"
        )
        part.add_argument("--output", type=npz, required=True, help=f"file to write {written} to")
    parts["diffusion_reaction"].add_argument(
        "--measurements", type=positive, help="keep this many random values of each solution"
    )
    scale = parts["darcy"].add_mutually_exclusive_group()
    scale.add_argument("--law", choices=darcy.LAWS, default=darcy.LAW, help="a named length scale of log a")
    scale.add_argument("--length-scale", type=float, help="any length scale of log a")
    parts["burgers"].add_argument("--viscosity", type=float, default=burgers.VISCOSITY)
    part = names.add_parser("cavity", help="the steady lid-driven cavity, beside the literature")
    part.add_argument(
        "--reynolds", type=float, default=1000.0, help="Reynolds number, above 0 and at most 5000"
    )
    part.add_argument("--resolution", type=positive, default=256, help="points a side of the output grid")
    part.add_argument("--elements", type=positive, default=cavity.ELEMENTS, help="elements a side")
    part.add_argument(
        "--output", type=npz, help="file to write x, y, u, v, psi to; [i, j] is at (x[i], y[j])"
    )
    part.add_argument("--lid", choices=cavity.LIDS, default="constant", help="speed along the lid")
    part = names.add_parser("refinement", help="grid-refinement studies")
    part.add_argument(
        "solvers", nargs="*", metavar="NAME", help=f"{', '.join(refinement.STUDIES)}; default: all"
    )
    return parser


def save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `arrays` to `path`, atomically, and print their names, shapes and checksum.

    Raises OSError, naming `path`, where it cannot be written; what was there before stays.
    """
    try:
        checksum = save_arrays(path, arrays)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error
    shapes = ", ".join(
        f"{name} {'x'.join(map(str, np.shape(array))) or 'scalar'}" for name, array in arrays.items()
    )
    print(f"wrote {path}: {shapes}; sha256 {checksum[:16]}")


def one_line_errors(main: Callable[[], None]) -> None:
    """Call `main()`; where the choices or the disk are at fault, end with one line and no traceback."""
    try:
        main()
    except (ValueError, RuntimeError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    one_line_errors(main)
