"""Milliseconds per training step on this device, each program alone: the measured side of `scripts.gpu_program`.

    python -m scripts.step_times [MEMBERS*]EXPERIMENT[@COLUMN+...][:PRECISION,...] ... [KEY=VALUE ...]
        [--profile paper] [--processes 4] [--rounds 2] [--seconds 0.5] [--trace FOLDER] [--output FILE]

Without columns a program is the one that a card trains: its parameterizations where `execution.stack` says so, else
RWF alone; `3*darcy@plain+rwf` is one program of two columns with three members (items and seeds) each. All are compiled
first, by several processes, and kept in the compilation cache, where runs find them; then they are timed one at a time,
in rounds, with nothing else on the device. `--trace` keeps a profile of three steps of each. RWF_UNTIL
(docs/short_loans.md) and SIGTERM end it in time, with what was measured.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import jax

from experiments.benchmarks.timing import stepper
from experiments.config.compose import ConfigError, Configuration, group_options
from experiments.files import typed_path, write_json
from experiments.records import provenance
from experiments.running.run import use_compilation_cache
from experiments.training import walltime
from scripts.gpu_program import runs

TRACED = 3  # steps in a profile
ABOUT = "about.json"  # beside the profiles: on which device, by which code
WORD = re.compile(r"(?:(\d+)\*)?(\w+)(?:@([\w+]+))?(?::([\w,]+))?")
HEAD = f"{'experiment':24}{'precision':18}{'runs':>5}{'members':>9}{'ms a step':>11}{'spread':>8}{'runs x steps/s':>16}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.step_times", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("words", nargs="+", metavar="PROGRAM|KEY=VALUE")
    parser.add_argument("--profile", default="paper", choices=group_options("profile"))
    parser.add_argument("--processes", type=int, default=4, help="that compile side by side")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each program in a round, about")
    parser.add_argument("--trace", type=typed_path, help="a folder for profiles of three steps of each")
    parser.add_argument("--output", type=typed_path, help="a JSON file for the numbers")
    options = parser.parse_intermixed_args(arguments)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the processes share the device's memory
    settings = [word for word in options.words if "=" in word]
    try:
        wanted = [one for word in options.words if "=" not in word for one in programs_of(word, settings)]
        for program in wanted:
            program.runs(options.profile)
    except ConfigError as error:
        print(f"config error: {error}", file=sys.stderr)
        return 2
    walltime.heed_signals()
    facts = provenance()
    if options.trace:
        write_json(options.trace / ABOUT, {"profile": options.profile, **facts})
    measured = timed(wanted, options)
    print(f"profile={options.profile}, {facts['device_name']}, medians of {options.rounds} rounds")
    print(HEAD)
    for numbers in measured:
        print(line(numbers))
    if options.output:
        write_json(options.output, {"profile": options.profile, **facts, "programs": measured})
    return 0 if all("ms" in numbers for numbers in measured) else 1


@dataclass(frozen=True)
class Program:
    """What is compiled as one: `members` of the runs of `columns`; None: what a card would train."""

    experiment: str
    members: int
    columns: tuple[str, ...] | None
    precision: str | None
    settings: tuple[str, ...]

    def named(self) -> dict[str, Any]:
        """What its numbers begin with."""
        return {
            "experiment": self.experiment,
            "precision": self.precision,
            "members": self.members,
            "rounds": [],
        }

    def runs(self, profile: str) -> list[Configuration]:
        """The configurations of its runs. Raises ConfigError."""
        words = [f"experiment={self.experiment}", f"profile={profile}", "tracking=none", *self.settings]
        words += [] if self.precision is None else [f"trainer.precision={self.precision}"]
        return runs(words, self.columns)


def programs_of(word: str, settings: Sequence[str]) -> list[Program]:
    """The programs that a word of the command line names, one for each precision. Raises ConfigError.

    >>> [one.precision for one in programs_of("3*darcy@plain+rwf:float32,tensorfloat32", [])]
    ['float32', 'tensorfloat32']
    """
    found = WORD.fullmatch(word)
    if found is None:
        raise ConfigError(
            f"{word!r} names no program: write it as darcy, darcy:float32 or 3*darcy@plain+rwf:float32"
        )
    members, experiment, columns, precisions = found.groups()
    return [
        Program(
            experiment,
            int(members or 1),
            tuple(columns.split("+")) if columns else None,
            one,
            tuple(settings),
        )
        for one in (precisions.split(",") if precisions else [None])
    ]


def timed(wanted: Sequence[Program], options: argparse.Namespace) -> list[dict[str, Any]]:
    """The numbers of each program: compiled by processes side by side, then timed in turn, round by round."""
    spawn = multiprocessing.get_context("spawn")
    count = min(options.processes, len(wanted))
    pipes = [spawn.Pipe() for _ in range(count)]
    workers = [
        spawn.Process(target=serve, args=(theirs, list(wanted[n::count]), options), daemon=True)
        for n, (_, theirs) in enumerate(pipes)
    ]
    for worker, (_, theirs) in zip(workers, pipes, strict=True):
        worker.start()
        theirs.close()
    found = [
        compiled(ours, worker, wanted[n::count], 2 * options.seconds * len(wanted))
        for n, ((ours, _), worker) in enumerate(zip(pipes, workers, strict=True))
    ]
    for turn in range(options.rounds):
        for own, (ours, _) in zip(found, pipes, strict=True):
            for n, numbers in enumerate(own):
                if "error" not in numbers and not walltime.is_up(needed=3 * options.seconds):
                    ours.send((n, turn))
                    numbers["rounds"].append(ours.recv())
    for worker, (ours, _) in zip(workers, pipes, strict=True):
        if worker.is_alive():
            ours.send(None)
    for own in found:
        for numbers in own:
            if numbers["rounds"]:
                numbers["ms"] = median(numbers["rounds"])
            elif "error" not in numbers:
                numbers["error"] = "no time was left"
    return [found[n % count][n // count] for n in range(len(wanted))]


def compiled(pipe: Any, worker: Any, wanted: Sequence[Program], reserve: float) -> list[dict[str, Any]]:
    """What a process says once its programs are compiled; it is ended where that leaves less than `reserve` seconds."""
    while not pipe.poll(0.5):
        if walltime.is_up(needed=reserve):
            worker.terminate()
            return [{**program.named(), "error": "not compiled in time"} for program in wanted]
    return pipe.recv()


def serve(pipe: Any, wanted: Sequence[Program], options: argparse.Namespace) -> None:
    """Compile programs, say so, then time the one that is asked for until None comes."""
    use_compilation_cache(True)

    def built(program: Program) -> tuple[Any, dict[str, Any]]:
        begun = time.perf_counter()
        numbers = program.named()
        take = None
        try:
            stack = program.runs(options.profile)
            numbers |= {"precision": stack[0].trainer.precision, "runs": len(stack)}
            take = stepper(*stack, size=program.members)
        except Exception as error:  # one that fails must not end the others
            numbers["error"] = (str(error).splitlines() or [""])[0]
        return take, numbers | {"seconds_to_first_step": round(time.perf_counter() - begun, 1)}

    with ThreadPoolExecutor(len(wanted)) as threads:
        steppers, about = zip(*threads.map(built, wanted), strict=True)
    pipe.send(list(about))
    counts: dict[int, int] = {}
    while (asked := pipe.recv()) is not None:
        n, turn = asked
        take = steppers[n]
        if n not in counts:
            counts[n] = count_for(take, options.seconds)
        begun = time.perf_counter()
        take(counts[n])
        spent = (time.perf_counter() - begun) / counts[n]
        if options.trace and turn == 0:
            with jax.profiler.trace(str(options.trace / folder_of(about[n]))):
                take(TRACED)
        pipe.send(1e3 * spent)


def folder_of(numbers: dict[str, Any]) -> str:
    """The folder of a program's profile: no two programs have one."""
    return "{experiment}_{precision}_{runs}x{members}".format(**numbers)


def count_for(take: Any, seconds: float) -> int:
    """How many steps take about `seconds`; runs a few to find out."""
    take(1)
    begun = time.perf_counter()
    take(4)
    return max(3, int(4 * seconds / (time.perf_counter() - begun)))


def line(numbers: dict[str, Any]) -> str:
    """One line of the table: the spread is the largest over the smallest round, less one."""
    head = f"{numbers['experiment']:24}{numbers['precision'] or '':18}"
    if "ms" not in numbers:
        return f"{head}not measured: {numbers['error']}"
    ms, rounds = numbers["ms"], numbers["rounds"]
    count = numbers["runs"] * numbers["members"]
    spread = f"{100 * (max(rounds) / min(rounds) - 1):.1f} %"
    return f"{head}{numbers['runs']:5}{numbers['members']:9}{ms:11.3f}{spread:>8}{1e3 * count / ms:16.0f}"


if __name__ == "__main__":
    sys.exit(main())
