"""Training steps per second of the four parameterizations, in the form of the paper's Table 5.

    python -m scripts.benchmark image_natural regression_1d [--profile paper] [--rounds 5] [key=value ...]

One process, one member, interleaved rounds, medians; the overhead over Plain is taken round by round.
With --derivatives, instead: a `Jet` against nested `jax.grad` and `jax.hessian`, for the experiments that have both.
With --stack, instead: one step of the four as one program against the sum of their four separate steps.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from experiments.benchmarks.derivative_paths import EXPERIMENTS as DIFFERENTIAL
from experiments.benchmarks.derivative_paths import table as derivative_table
from experiments.benchmarks.timing import interleaved, overheads, stepper
from experiments.config.compose import ConfigError, Configuration, configure, group_options
from experiments.files import typed_path, write_json
from experiments.records import provenance

COLUMNS = ("plain", "aa", "wn", "rwf")


def main() -> int:
    """Measure and print; write the numbers with their provenance where --output says."""
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT|KEY=VALUE")
    parser.add_argument("--profile", default="paper", choices=group_options("profile"))
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--derivatives", action="store_true", help="compare derivative paths instead")
    instead.add_argument("--stack", action="store_true", help="compare the four as one program instead")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each parameterization in a round, about"
    )
    parser.add_argument("--output", type=typed_path, help="a JSON file for the numbers")
    options = parser.parse_intermixed_args()
    experiments = [word for word in options.words if "=" not in word]
    settings = [word for word in options.words if "=" in word]
    try:
        command = paths if options.derivatives else stacks if options.stack else rates
        numbers = command(experiments, settings, options)
    except ConfigError as error:
        print(f"config error: {error}", file=sys.stderr)
        return 2
    if options.output:
        write_json(options.output, numbers)
    return 0


def paths(experiments: list[str], settings: list[str], options: argparse.Namespace) -> dict:
    """Print the comparison of derivative paths; return its numbers."""
    chosen = experiments or list(DIFFERENTIAL)
    return derivative_table(chosen, options.profile, options.rounds, options.seconds, settings)


def rates(experiments: list[str], settings: list[str], options: argparse.Namespace) -> dict:
    """Print the table of training speeds; return its numbers. Raises ConfigError where nothing could be measured."""
    facts = provenance()
    print(f"training iterations per second, profile={options.profile}, {facts['device_name']}")
    print(f"{'experiment':24}" + "".join(f"{name:>10}" for name in COLUMNS) + "   overhead of AA, WN, RWF")
    measured = lines(measure, experiments, settings, options)
    return {"profile": options.profile, **facts, "iterations_per_second": measured}


def stacks(experiments: list[str], settings: list[str], options: argparse.Namespace) -> dict:
    """Print stacked against separate steps; return the numbers. Raises ConfigError where nothing could be measured."""
    facts = provenance()
    print(f"milliseconds per step of {', '.join(COLUMNS)}, profile={options.profile}, {facts['device_name']}")
    print(f"{'experiment':24}{'separate':>12}{'stacked':>12}{'ratio':>10}")
    measured = lines(measure_stack, experiments, settings, options)
    return {"profile": options.profile, **facts, "stacked_steps": measured}


def lines(
    measured: Callable, experiments: list[str], settings: list[str], options: argparse.Namespace
) -> dict:
    """Print the line of each experiment that `measured` gives; return the numbers, keyed by experiment."""
    numbers, problem = {}, None
    for experiment in experiments or group_options("experiment"):
        try:
            line, numbers[experiment] = measured(experiment, settings, options)
        except ConfigError as error:
            print(f"{experiment:24}not measured: {error}")
            problem = error
            continue
        print(line, flush=True)
    if problem is not None and not numbers:
        raise problem
    return numbers


def four(experiment: str, settings: list[str], options: argparse.Namespace) -> dict[str, Configuration]:
    """The configurations of the four parameterizations."""
    words = [f"experiment={experiment}", f"profile={options.profile}", "tracking=none", *settings]
    return {name: configure([*words, f"parameterization={name}"]) for name in COLUMNS}


def timed(steppers: Mapping[str, Sequence[Configuration]], options: argparse.Namespace) -> dict:
    """Steps per second in each round of what each stack of configurations compiles to."""
    try:
        compiled = {name: stepper(*stack) for name, stack in steppers.items()}
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error
    return interleaved(compiled, options.rounds, options.seconds)


def measure(experiment: str, settings: list[str], options: argparse.Namespace) -> tuple[str, dict]:
    """The printed line of one experiment, and its numbers."""
    configs = four(experiment, settings, options)
    rates = timed({name: [config] for name, config in configs.items()}, options)
    extra = overheads(rates, "plain")
    columns = "".join(f"{median(rates[name]):10.4g}" for name in COLUMNS)
    percent = ", ".join(f"{100 * extra[name]:+.1f} %" for name in COLUMNS[1:])
    precision = configs["plain"].trainer.precision
    numbers = {"rates": rates, "overhead": extra, "precision": precision}
    return f"{experiment:24}{columns}   {percent}", numbers


def measure_stack(experiment: str, settings: list[str], options: argparse.Namespace) -> tuple[str, dict]:
    """The printed line of one experiment, and its numbers: medians over rounds, the ratio round by round."""
    configs = four(experiment, settings, options)
    each = {name: [config] for name, config in configs.items()}
    rates = timed({**each, "stack": list(configs.values())}, options)
    separate = [
        sum(1 / rate for rate in turn) for turn in zip(*(rates[name] for name in COLUMNS), strict=True)
    ]
    stacked = [1 / rate for rate in rates["stack"]]
    ratio = median(left / right for left, right in zip(separate, stacked, strict=True))
    numbers = {"rates": rates, "ratio": ratio, "precision": configs["plain"].trainer.precision}
    return f"{experiment:24}{1e3 * median(separate):12.4g}{1e3 * median(stacked):12.4g}{ratio:10.2f}", numbers


if __name__ == "__main__":
    sys.exit(main())
