"""Where the time of a training step goes, at the paper's size: from a trace of the compiled program.

    python -m scripts.profile_step [EXPERIMENT ...] [KEY=VALUE ...] [--steps 3] [--output FILE]

For each experiment: milliseconds a step, floating-point operations a step as the compiler counts them, and the
share of the time in matrix products (convolutions included), in elementwise work (fused loops, activations,
reductions, optimizer), in moving data (gathers, scatters, sorts, copies, slices) and between operations.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks.timing import compiled_stepper
from experiments.config.compose import ConfigError, configure, group_options
from experiments.files import typed_path, write_json
from experiments.records import provenance

PRODUCTS, MOVING, ELEMENTWISE, BETWEEN = "products", "moving", "elementwise", "between"
KINDS = (PRODUCTS, ELEMENTWISE, MOVING, BETWEEN)
MOVERS = {"gather", "scatter", "sort", "copy", "slice", "dynamic-slice", "dynamic-update-slice"}
MOVERS |= {"transpose", "concatenate", "pad", "reverse"}
CONTAINERS = {
    "while",
    "call",
    "conditional",
    "tuple",
    "get-tuple-element",
    "parameter",
    "constant",
    "bitcast",
}
INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = \S.*?\s([a-z][a-z\-]*)\(")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")


def kinds(program: str) -> dict[str, str]:
    """The kind of each instruction of a compiled program (HLO text), by name; containers are left out.

    A fusion counts as a product if it contains one, as moving if it contains nothing but movers.

    >>> kinds("ENTRY %main (x: f32[2,2]) -> f32[2,2] {\\n  %d = f32[2,2]{1,0} dot(%x, %x), lhs={1}\\n}")
    {'d': 'products'}
    """
    bodies: dict[str, list[str]] = {}
    lines: dict[str, tuple[str, str]] = {}
    body: list[str] = []
    for line in program.splitlines():
        if opening := COMPUTATION.match(line):
            body = bodies.setdefault(opening[1], [])
        elif found := INSTRUCTION.match(line):
            body.append(found[2])
            lines[found[1]] = (found[2], line)
    return {name: kind for name, entry in lines.items() if (kind := _kind(*entry, bodies))}


def _kind(opcode: str, line: str, bodies: Mapping[str, Sequence[str]]) -> str | None:
    if opcode in CONTAINERS:
        return None
    opcodes = {opcode}
    if opcode == "fusion" and (called := re.search(r"calls=%?([\w.\-]+)", line)):
        opcodes = set(bodies.get(called[1], ())) - CONTAINERS
    if opcodes & {"dot", "convolution"} or "custom-call" in opcodes:
        return PRODUCTS
    trivial = {"broadcast", "reshape", "convert", "iota", "add", "compare", "select"}
    return MOVING if opcodes & MOVERS and opcodes <= MOVERS | trivial else ELEMENTWISE


def traced(take: Any, program: str, steps: int) -> tuple[float, dict[str, float]]:
    """Seconds a step takes, and the share of each kind of work in it."""
    take(1)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            begun = time.perf_counter()
            take(steps)
            seconds = time.perf_counter() - begun
        path = next(Path(folder).rglob("*.xplane.pb"))
        data = jax.profiler.ProfileData.from_file(str(path))
    of, spent = kinds(program), Counter()
    for plane in data.planes:
        for line in plane.lines:
            for event in line.events:
                if event.name in of:
                    spent[of[event.name]] += event.duration_ns / 1e9
    spent[BETWEEN] = max(0.0, seconds - spent.total())
    return seconds / steps, {kind: spent[kind] / spent.total() for kind in KINDS}


def matrix_rate(size: int = 512, rounds: int = 20) -> float:
    """GFlop/s of a product of two float32 matrices of this size: what this device can reach."""
    a = jnp.ones((size, size))
    multiply = jax.jit(lambda a: a @ a)
    jax.block_until_ready(multiply(a))
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        jax.block_until_ready(multiply(a))
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best / 1e9


def measure(experiment: str, settings: Sequence[str], profile: str, steps: int) -> dict[str, Any]:
    """The numbers of one experiment. Raises ConfigError."""
    words = [f"experiment={experiment}", "parameterization=rwf", f"profile={profile}", "tracking=none"]
    config = configure([*words, *settings])
    take, compiled = compiled_stepper(config)
    seconds, shares = traced(take, compiled.as_text(), steps)
    parts = config.trainer.microbatches  # the compiler counts the body of a loop once
    flops = compiled.cost_analysis().get("flops", 0.0) * parts
    memory = compiled.memory_analysis().temp_size_in_bytes
    return {"milliseconds": 1e3 * seconds, "gflop": flops / 1e9, "temporary_mb": memory / 1e6, **shares}


def row(experiment: str, numbers: Mapping[str, float]) -> str:
    """One line of the table."""
    rate = numbers["gflop"] / numbers["milliseconds"] * 1e3
    shares = "".join(f"{100 * numbers[kind]:11.0f} %" for kind in KINDS)
    return (
        f"{experiment:24}{numbers['milliseconds']:10.1f}{numbers['gflop']:10.2f}{rate:9.1f}"
        f"{numbers['temporary_mb']:9.0f}{shares}"
    )


def main() -> int:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.profile_step", description=__doc__.split("\n")[0]
    )
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT|KEY=VALUE")
    parser.add_argument("--profile", default="paper", choices=group_options("profile"))
    parser.add_argument("--steps", type=int, default=3, help="in the trace")
    parser.add_argument("--output", type=typed_path, help="a JSON file for the numbers")
    options = parser.parse_intermixed_args()
    experiments = [word for word in options.words if "=" not in word] or group_options("experiment")
    settings = [word for word in options.words if "=" in word]
    facts, rate = provenance(), matrix_rate()
    print(
        f"profile={options.profile}, RWF, {facts['device_name']}, float32; matrix products reach {rate:.0f} GFlop/s"
    )
    print(
        f"{'experiment':24}{'ms/step':>10}{'GFlop':>10}{'GFlop/s':>9}{'MB':>9}"
        + "".join(f"{k:>13}" for k in KINDS)
    )
    measured = {}
    for experiment in experiments:
        try:
            measured[experiment] = measure(experiment, settings, options.profile, options.steps)
        except ConfigError as error:
            print(f"{experiment:24}not measured: {error}", flush=True)
            continue
        print(row(experiment, measured[experiment]), flush=True)
        jax.clear_caches()
    if options.output:
        write_json(
            options.output, {"profile": options.profile, "matrix_gflops": rate, **facts, "steps": measured}
        )
    return 0 if measured else 2


if __name__ == "__main__":
    sys.exit(main())
