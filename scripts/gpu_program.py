"""Training steps compiled for an H100 on a machine without one: memory, kernels, bytes, FLOPs and what they bound.

    python -m scripts.gpu_program [EXPERIMENT ...] [KEY=VALUE ...] [--precisions float32,bfloat16] [--columns plain,rwf]
        [--members 1] [--profile paper] [--kernels N] [--hlo FOLDER] [--output FOLDER]

Of one step of all runs and members that one program trains, for each experiment (those of Table 1 if none is named)
and precision: temporary memory, kernels, bytes moved, FLOPs of products, the milliseconds that either takes at least
(bytes over 2.9 TB/s, products over the card's peak in their precision), and of which precision the products are that
phases, the arguments of sine and cosine, are made of. The runs are those that a card would train as one program: the
four parameterizations where `execution.stack` says so, else RWF alone. Needs the extra `gpu-program`, and neither a
card nor data.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.benchmarks.gpu.bounds import BANDWIDTH, Step, step_on_h100
from experiments.benchmarks.gpu.compiling import check_compiler
from experiments.config.compose import ConfigError, Configuration, configure, group_options
from experiments.files import typed_path, write_json, write_text
from experiments.records import provenance
from experiments.reporting.tables import specs

COLUMNS = ("plain", "aa", "wn", "rwf")
HEAD = (
    f"{'experiment':24}{'precision':18}{'runs':>5}{'MB':>7}{'kernels':>9}{'GB':>9}{'GFLOP':>9}"
    f"{'ms, bytes':>11}{'ms, FLOP':>10}  products before phases"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu_program", description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT|KEY=VALUE")
    parser.add_argument("--precisions", type=names, default=[None], help="the experiment's own if not given")
    parser.add_argument("--columns", type=names, help="parameterizations stacked in one program")
    parser.add_argument("--members", type=int, default=1, help="items and seeds in one program")
    parser.add_argument("--profile", default="paper", choices=group_options("profile"))
    parser.add_argument("--kernels", type=int, default=0, help="show so many that move most")
    parser.add_argument("--hlo", type=typed_path, help="a folder for the compiled programs' text")
    parser.add_argument(
        "--output", type=typed_path, help="a folder for the numbers, a JSON file an experiment"
    )
    options = parser.parse_intermixed_args(arguments)
    experiments = [word for word in options.words if "=" not in word] or table_1()
    settings = [word for word in options.words if "=" in word]
    try:
        check_compiler()
    except ConfigError as error:
        print(f"config error: {error}", file=sys.stderr)
        return 2
    jax.config.update("jax_platforms", "cpu")  # a card in this machine is not asked
    print(
        f"one step for an H100 SXM, profile={options.profile}, {options.members} members, jax {jax.__version__}"
    )
    print(HEAD)
    return 0 if all([compiled(experiment, settings, options) for experiment in experiments]) else 2


def compiled(experiment: str, settings: list[str], options: argparse.Namespace) -> bool:
    """Compile, print and write one experiment in each precision; whether all of them compiled."""
    measured, complete, facts = {}, True, provenance()
    for wanted in options.precisions:
        words = [f"experiment={experiment}", f"profile={options.profile}", "tracking=none", *settings]
        words += [] if wanted is None else [f"trainer.precision={wanted}"]
        try:
            stack = runs(words, options.columns)
            step, text = step_on_h100(stack, options.members)
        except ConfigError as error:
            print(f"{experiment:24}{wanted or '':18}not compiled: {error}", flush=True)
            complete = False
            continue
        precision = stack[0].trainer.precision
        print(line(experiment, precision, len(stack), step), flush=True)
        print(*largest(step, options.kernels), sep="\n", end="\n" * (options.kernels > 0), flush=True)
        here = {
            "runs": len(stack),
            "members": options.members,
            "commit": facts["commit"],
            "dirty": facts["dirty"],
        }
        measured[precision] = {**here, **step.numbers()}
        if options.hlo:
            write_text(options.hlo / f"{experiment}_{precision}.hlo", text)
        jax.clear_caches()
    if options.output and measured:
        about = {
            "profile": options.profile,
            "card": "H100 SXM",
            "settings": settings,
            "packages": facts["packages"],
        }
        keep(options.output / f"{experiment}.json", about, measured)
    return complete


def table_1() -> list[str]:
    """The experiments of Table 1."""
    return [line.cell["experiment"] for line in specs.table_spec("table_1").rows]


def runs(words: list[str], columns: Sequence[str] | None) -> list[Configuration]:
    """The runs of one program: those of `columns`, or those that a card would train together."""
    rwf = configure([*words, "parameterization=rwf"])
    if columns is None:
        columns = ("rwf",) if rwf.execution.stack == "never" else COLUMNS
    return [configure([*words, f"parameterization={name}"]) for name in columns]


def line(experiment: str, precision: str, count: int, step: Step) -> str:
    """One line of the table."""
    return (
        f"{experiment:24}{precision:18}{count:5}{step.temporary / 1e6:7.0f}{step.launches:9}{step.bytes / 1e9:9.3f}"
        f"{sum(step.products.values()) / 1e9:9.2f}{1e3 * step.memory_bound:11.3f}{1e3 * step.product_bound:10.3f}  "
        f"{', '.join(sorted(step.phases)) or 'none'}"
    )


def largest(step: Step, count: int) -> list[str]:
    """The `count` kernels of a step that move most, one a line."""
    first = sorted(step.kernels, key=lambda one: -one.times * (one.read + one.written))[:count]
    return [
        f"    {one.times} x {one.name:44}{one.read / 1e6:9.1f} MB read{one.written / 1e6:9.1f} MB written"
        f"{1e3 * one.times * (one.read + one.written) / BANDWIDTH:8.3f} ms"
        for one in first
    ]


def names(text: str) -> list[str]:
    """Names with commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()]


def keep(path: Path, about: dict[str, Any], measured: dict[str, Any]) -> None:
    """Write the numbers of an experiment; those of other precisions stay where all they are about is the same."""
    former = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    same = all(former.get(name) == value for name, value in about.items())
    write_json(path, {**about, "steps": {**(former["steps"] if same else {}), **measured}})


if __name__ == "__main__":
    sys.exit(main())
