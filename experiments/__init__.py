"""The suite: its commands, each `python -m experiments.NAME`, and what they are made of.

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
