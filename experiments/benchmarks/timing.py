"""Training steps per second, measured side by side: interleaved rounds in one process, medians."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config.compose import Configuration
from experiments.running.stacks import check
from experiments.training import members
from experiments.training.step import programs


def stepper(*stack: Configuration, size: int = 1) -> Callable[[int], None]:
    """A compiled function that takes a number of training steps of `size` members and waits for them.

    Of several configurations it is one program that takes the step of all (`experiments.running.stacks`).
    """
    return compiled_stepper(*stack, size=size)[0]


def compiled_stepper(*stack: Configuration, size: int = 1) -> tuple[Callable[[int], None], Any]:
    """`stepper`, and the compiled program (`jax.stages.Compiled`) behind it."""
    check(stack)
    data = stack[0].task.items()
    built = programs(stack, size)
    pick = np.arange(size) % len(data.names)
    items = members.place(jax.tree.map(lambda leaf: np.asarray(leaf)[pick], data.items), size)
    shared = members.replicate(data.shared, size)
    seeds, indices = (members.place(jnp.array(n, jnp.uint32), size) for n in (np.zeros(size), pick))
    state: Any = members.place(built.start(seeds, shared, items), size)
    zero = jnp.int32(0)
    advance = built.advance.lower(state, shared, items, seeds, indices, zero, zero).compile()
    position = 0

    def take(count: int) -> None:
        nonlocal state, position
        first, steps = jnp.int32(position), jnp.int32(count)
        state = jax.block_until_ready(advance(state, shared, items, seeds, indices, first, steps))
        position += count

    take(1)
    return take, advance


def interleaved(
    steppers: Mapping[str, Callable[[int], None]], rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Steps per second of each stepper in each round; in a round all take turns, about `seconds` each.

    The order turns round from one round to the next, so that a drift of the machine's speed hits all alike.
    """
    counts = {}
    for name, take in steppers.items():
        begun = time.perf_counter()
        take(2)
        counts[name] = max(1, int(2 * seconds / (time.perf_counter() - begun)))
    rates: dict[str, list[float]] = {name: [] for name in steppers}
    names = list(steppers)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = time.perf_counter()
            steppers[name](counts[name])
            rates[name].append(counts[name] / (time.perf_counter() - begun))
    return rates


def overheads(rates: Mapping[str, list[float]], base: str) -> dict[str, float]:
    """Median over rounds of the time of a step relative to `base`'s in the same round, less one.

    >>> overheads({"plain": [10.0, 20.0], "rwf": [8.0, 16.0]}, "plain")["rwf"]
    0.25
    """
    return {
        name: median(b / r for b, r in zip(rates[base], own, strict=True)) - 1 for name, own in rates.items()
    }
