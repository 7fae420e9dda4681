"""Show a multirun as a table and a heat map: what varied, the mean over seeds, what diverged, what is missing.

python -m experiments.sweep regression_1d --profile smoke --output output/sweep
python -m experiments.sweep regression_1d --x parameterization.mean --where parameterization=rwf
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.config.compose import ConfigError
from experiments.files import typed_path, write_atomically, write_text
from experiments.records import read_results, read_runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 when the table was printed."""
    options = _parser().parse_args(arguments)
    from experiments.reporting.figures.heat_maps import axes_of, scattered
    from experiments.reporting.tables.renderers import terminal
    from experiments.reporting.tables.sweeps import completed, grid, sweep_of

    try:
        own, published = read_runs(options.runs), read_results(options.results)
        asked = (row for row in own if options.profile in (None, row.profile))
        if not any(row.experiment == options.experiment for row in asked):
            own, published = published, []
            print("no run of your own: these are the published rows")
        words = (options.experiment, options.profile, options.metric, options.where)
        sweep = sweep_of(own, *words, published)
        axes = axes_of(sweep, options.x, options.y)
    except (ConfigError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sweep = sweep if scattered(sweep, axes) else completed(sweep, axes)
    print(terminal(grid(sweep)), end="")
    if options.output is not None:
        for path in write(sweep, axes, options.output):
            print(f"wrote {path}")
    return 0


def write(sweep, axes: Sequence[str], output: Path) -> list[Path]:
    """Write the table as `output`.md and .csv and, where something varies, the picture as .png; return the paths."""
    import matplotlib.pyplot as plt

    from experiments.reporting.figures import style
    from experiments.reporting.figures.heat_maps import draw
    from experiments.reporting.tables.renderers import markdown
    from experiments.reporting.tables.sweeps import csv_of, grid

    paths = [output.with_name(f"{output.name}.{suffix}") for suffix in ("md", "csv", "png")]
    write_text(paths[0], markdown(grid(sweep)))
    write_text(paths[1], csv_of(sweep))
    if not axes:
        return paths[:2]
    figure = draw(sweep, axes)
    with style.look():
        save = functools.partial(figure.savefig, format="png", metadata={"Software": None})
        write_atomically(paths[2], save)
    plt.close(figure)
    return paths


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.sweep", description=__doc__.split("\n")[0])
    parser.add_argument("experiment", help="the experiment that was swept")
    parser.add_argument("--profile", help="the profile of the runs; needed where there are several")
    parser.add_argument("--runs", type=typed_path, default=Path("runs"), help="folder of runs (runs)")
    parser.add_argument(
        "--results", type=typed_path, default=Path("results"), help="folder of what is published (results)"
    )
    parser.add_argument("--metric", help="default: the experiment's own")
    parser.add_argument("--where", action="append", default=[], metavar="SETTING=VALUE",
                        help="only runs with this setting, such as parameterization=rwf")  # fmt: skip
    parser.add_argument("--x", help="setting on the horizontal axis; default: the first number that varies")
    parser.add_argument("--y", help="setting on the vertical axis; default: the second")
    parser.add_argument("--output", type=typed_path, help="write OUTPUT.md, OUTPUT.csv and OUTPUT.png")
    return parser


if __name__ == "__main__":
    sys.exit(main())
