"""The suite: its commands, each `python -m experiments.NAME`, and the rooms they are made of.

What a room may import stands below it, so there are no circles; the last two, `validation` and `files`, may be
imported by all above. A test holds the imports to this map and to two more rules: a task imports no other task, and
`rwf` nothing from here.

    room          what is in it                                         may import
    ------------  ----------------------------------------------------  ------------------------------
    train         one run, or every run of a grid (--multirun)          all below
    compare       does RWF help on one's own data                       all below
    export        what was trained, in a format that other tools open   all below
    exporting/    pictures, meshes, volumes, films, weights, programs   all below
    reproduce     tables and figures: a plan, then what is missing      all below
    tune          a search over settings                                all below
    match         a control whose measured steps are RWF's              all below
    fair          rates tuned for each method alike, then compared      all below
    sweep         a grid of finished runs as a table and a heat map     all below
    report        all results as HTML pages                             all below
    orbit         trained scenes from all around, as GIF or MP4         all below
    carry         runs, rows and caches to another machine and back     all below
    command       errors as one line and exit codes                     running, training, config
    comparison/   one's own data, read, compared and shown              all below
    carrying/     archives in parts; what goes in, what is taken out    training, records
    benchmarks/   what steps and derivatives cost                       all below
    reporting/    statistics, verdicts; tables, figures, studies, site  config, records, metrics, criteria, surface_view
    running/      what is missing, one run, and who carries runs out    training, config, task, records
    training/     the compiled step, the loop, checkpoints, tracking    config, task, criteria
    tasks/        one file a benchmark, its metric included             datasets, solvers, task, surface_view
    datasets/     downloads, their stand-ins, and what is generated     solvers, task
    solvers/      reference solutions and random fields                 arguments
    config/       from words to checked objects; which runs are equal   the last two
    task          what a benchmark says about itself                    metrics
    records       result rows, read and written                         the last two
    metrics       name, unit and direction of what is measured          the last two
    criteria      confidence level, margins, what is a collapse         the last two
    surface_view  a shaded picture of a shape                           the last two
    arguments     types of the commands' arguments                      the last two
    validation    what files say, against types that describe it        nothing
    files         atomic writes, checksums, the cache                   nothing

Whichever module is imported first, this process can from then on print any character: one that a terminal's encoding
lacks, such as the mu of a table in Latin-1, is shown as `?`. And a variable of the environment that JAX cannot read,
which it looks at when it is imported, is one line.
"""

import io
import sys

for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):  # not what a test or a notebook puts in its place
        stream.reconfigure(errors="replace")

try:
    import jax as jax
except ValueError as error:
    raise SystemExit(f"error: {error}: correct it or unset it") from error
