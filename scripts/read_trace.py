"""Where the time of a step on a GPU goes: its kernels, from the profiles that `scripts.step_times --trace` keeps.

    python -m scripts.read_trace FOLDER [--kernels N] [--output FILE]

For each program of FOLDER: the runs it trains, milliseconds that its kernels take in a step, kernels a step, the shares
of matrix products, of elementwise work (reductions too) and of moving data, and the minutes of a row of Table 1, four
columns and one seed, if every step takes that long. Waiting between kernels is not counted: tracing adds to it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.config.compose import ConfigError
from experiments.files import typed_path, write_json
from experiments.reporting.tables.bounds import row_minutes
from scripts.step_times import ABOUT, TRACED

PRODUCTS, ELEMENTWISE, MOVING = "products", "elementwise", "moving"
PRODUCT = re.compile(r"gemm|nvjet|cutlass|xmma|cudnn|conv|(?:^|_)dot", re.IGNORECASE)
MOVE = re.compile(r"^memcpy|^memset|copy|transpose|concatenate|slice|pad|gather|scatter|sort", re.IGNORECASE)
HEAD = (
    f"{'experiment':18}{'precision':18}{'runs':>5}{'ms a step':>10}{'kernels':>9}"
    f"{'products':>10}{'elementwise':>13}{'moving':>8}{'minutes':>9}"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.read_trace", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("folder", type=typed_path, metavar="FOLDER")
    parser.add_argument("--kernels", type=int, default=0, help="show so many that take longest")
    parser.add_argument("--output", type=typed_path, help="a JSON file for the numbers")
    options = parser.parse_args(arguments)
    try:
        about = json.loads((options.folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"error: {options.folder} holds no profiles of scripts.step_times: {error}", file=sys.stderr)
        return 2
    print(f"profile={about['profile']}, {about['device_name']}, jax {about['packages']['jax']}")
    print(HEAD)
    measured = []
    for path in sorted(options.folder.glob("*/plugins/profile/*/*.xplane.pb")):
        try:
            numbers = program(path, about)
        except ConfigError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        measured.append(numbers)
        print(line(numbers))
        print(*largest(path, options.kernels), sep="\n", end="\n" * (options.kernels > 0))
    if options.output:
        write_json(options.output, {**about, "programs": measured})
    return 0 if measured else 1


def program(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """The numbers of one profile. Raises ConfigError where its folder has another name, or it no kernels."""
    experiment, precision, runs = named(path.parents[3].name)
    spent: defaultdict[str, float] = defaultdict(float)
    count = 0
    for name, milliseconds in kernels(path):
        spent[kind(name)] += milliseconds
        count += 1
    if not count:
        raise ConfigError(f"{path} holds no kernels of a GPU")
    total = sum(spent.values())
    numbers = {
        "experiment": experiment,
        "precision": precision,
        "runs": runs,
        "ms": total / TRACED,
        "kernels": count / TRACED,
    }
    shares = {name: spent[name] / total for name in (PRODUCTS, ELEMENTWISE, MOVING)}
    each = total / TRACED / runs
    return numbers | shares | {"minutes": row_minutes(experiment, each, about["profile"])}


def named(folder: str) -> tuple[str, str, int]:
    """Experiment and precision of a profile's folder, and the runs times members that its program trains.

    >>> named("darcy_tensorfloat32_x3_4x3")
    ('darcy', 'tensorfloat32_x3', 12)
    """
    found = re.fullmatch(r"(\w+?)_(float32|bfloat16|tensorfloat32(?:_x3)?)_(\d+)x(\d+)", folder)
    if found is None:
        raise ConfigError(f"{folder} is not called EXPERIMENT_PRECISION_RUNSxMEMBERS")
    return found[1], found[2], int(found[3]) * int(found[4])


def kernels(path: Path) -> Iterator[tuple[str, float]]:
    """Name and milliseconds of each kernel of a training program in a profile."""
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        if not plane.name.startswith("/device:GPU"):
            continue
        for stream in plane.lines:
            for event in stream.events:
                module = str(dict(event.stats).get("hlo_module", ""))
                if module != "jit_convert_element_type":  # the numbers of the steps, sent to the device
                    yield event.name, event.duration_ns / 1e6


def kind(name: str) -> str:
    """What a kernel does, from its name.

    >>> kind("gemm_fusion_dot_9"), kind("input_reduce_fusion"), kind("wrapped_concatenate"), kind("MemcpyD2D")
    ('products', 'elementwise', 'moving', 'moving')
    """
    return PRODUCTS if PRODUCT.search(name) else MOVING if MOVE.search(name) else ELEMENTWISE


def line(numbers: dict[str, Any]) -> str:
    """One line of the table."""
    shares = [f"{100 * numbers[name]:.0f} %" for name in (PRODUCTS, ELEMENTWISE, MOVING)]
    return (
        f"{numbers['experiment']:18}{numbers['precision']:18}{numbers['runs']:5}{numbers['ms']:10.3f}{numbers['kernels']:9.0f}"
        f"{shares[0]:>10}{shares[1]:>13}{shares[2]:>8}{numbers['minutes']:9.1f}"
    )


def largest(path: Path, count: int) -> list[str]:
    """The `count` kernels that take most of a step, one a line."""
    spent: defaultdict[str, float] = defaultdict(float)
    times: Counter[str] = Counter()
    for name, milliseconds in kernels(path):
        spent[name] += milliseconds
        times[name] += 1
    return [
        f"    {times[name] / TRACED:5.0f} x {name[:70]:72}{total / TRACED:8.3f} ms"
        for name, total in sorted(spent.items(), key=lambda item: -item[1])[:count]
    ]


if __name__ == "__main__":
    sys.exit(main())
