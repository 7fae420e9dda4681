"""The control matched by measured steps: `python -m experiments.match experiment=NAME [key=value ...] [--steps 100]`

Measures the effective step |W_t - W_{t-1}| / |W_{t-1}| of RWF, or of another `parameterization=`, and of Plain over
the first steps, and finds the factor on Plain's learning rate with which its mean step, over all kernels, seeds and
items, is the same. Ends with the words of the control's run. Nothing is kept.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence

import numpy as np

from experiments.arguments import positive
from experiments.command import exit_code
from experiments.config.build import ConfigError
from experiments.config.compose import configure
from experiments.running.grid import expand
from experiments.running.plan import Words
from experiments.training.step import STEP

METHOD, CONTROL = "parameterization=rwf", "parameterization=plain_lr"
STEPS = 100
CLOSE, TRIES = 0.01, 8  # of the ratio from 1, and measurements of the control until it is so close
FLATTEST = -0.2  # slope of log ratio over x that a secant may have


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.match",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("settings", nargs="+", metavar="key=value")
    parser.add_argument("--steps", type=positive, default=STEPS, help="to measure over")
    options = parser.parse_args(arguments)
    return exit_code(lambda: match(options.settings, options.steps))


def match(settings: Sequence[str], steps: int) -> int:
    """Measure, print the steps of each layer and the control's words; return the exit code."""
    (words,) = expand(settings, several=False)
    if any(word.startswith("optimizer.log_scale=") for word in words):
        raise ConfigError("optimizer.log_scale is what is sought: leave it out")
    method = next((word for word in words if word.startswith("parameterization=")), METHOD)
    rest = [word for word in words if not word.startswith("parameterization=")]
    ours = mean_steps([*rest, method], steps)
    plain = mean_steps([*rest, "parameterization=plain"], steps)
    name = method.partition("=")[2]
    print(f"mean effective step of the first {steps} steps\n")
    print(f"{'':24}{name:>14}{'plain':>14}{'ratio':>10}")
    for key in ours:
        label = key.partition("/")[2] or "all kernels"
        print(f"{label:24}{ours[key]:14.4g}{plain[key]:14.4g}{ours[key] / plain[key]:10.3f}")
    target, total = ours[STEP], plain[STEP]

    def ratio(log_scale: float) -> float:
        return target / mean_steps([*rest, CONTROL, f"optimizer.log_scale={log_scale}"], steps)[STEP]

    log_scale, left = matched(ratio, target / total)
    print(
        f"\nplain's learning rate times {math.exp(log_scale):.4g} = e^{log_scale:.4g}: steps {1 / left:.3f} of {name}'s"
    )
    print(f"python -m experiments.train {' '.join([*rest, CONTROL, f'optimizer.log_scale={log_scale:.4g}'])}")
    return 0


def matched(ratio: Callable[[float], float], first: float) -> tuple[float, float]:
    """The x at which `ratio(x)` is 1 within `CLOSE`, and its value there, by secants of its logarithm.

    `first` is the value at 0. The step grows with the rate, but not in proportion: a weight that has moved far
    moves less. Raises ConfigError where `TRIES` do not reach it.
    """
    before, at_before, x = 0.0, math.log(first), math.log(first)
    for _ in range(TRIES):
        found = ratio(x)
        if abs(found - 1) <= CLOSE:
            return x, found
        at_x = math.log(found)
        slope = (at_x - at_before) / (x - before) if x != before else -1.0
        before, at_before, x = x, at_x, x - at_x / min(slope, FLATTEST)
    raise ConfigError(
        f"no learning rate of Plain was found whose steps match: {1 / found:.3f} of them at e^{before:.4g}"
    )


def mean_steps(words: Words, steps: int) -> dict[str, float]:
    """Of a run with these words the means of its first effective steps, over seeds and items, by name in the history.

    Raises ConfigError where the data is missing and where the training diverges.
    """
    from experiments.running.run import data_source
    from experiments.training.first_steps import first_steps

    config = configure([*words, "trainer.relative_steps=true", "tracking=none"])
    data_source(config)
    found = first_steps(config, config.task.items(), min(steps, config.trainer.steps))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    if not all(0 < value < math.inf for value in means.values()):
        raise ConfigError(f"{' '.join(words)} has no effective step to match: it diverges, or does not move")
    return means


if __name__ == "__main__":
    sys.exit(main())
