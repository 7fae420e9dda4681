"""Synthetic result rows; and what an offline W&B file holds, read without a server: records in LevelDB's log format."""

import json
import struct
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from experiments.config.protocols import protocol_of
from experiments.records import Row

BLOCK = 1 << 15
HEADER = 7  # of the file, and of each chunk of a record
WAIT = 60  # seconds for the end of a file


class Logged(NamedTuple):
    """A run as it would be sent: settings, history by step, last values of the summary, exit code."""

    run: object
    history: dict[int, dict]
    summary: dict
    exit_code: int | None


def records(path: Path):
    """The records of a `.wandb` file, in order; a cut-off end is passed over."""
    from wandb.proto import wandb_internal_pb2 as messages

    content, position, parts = path.read_bytes(), HEADER, []
    while position + HEADER <= len(content):
        if BLOCK - position % BLOCK < HEADER:  # too little room in the block for a chunk
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        parts.append(content[position + HEADER : position + HEADER + length])
        position += HEADER + length
        if kind in (1, 4):  # a whole record, or the last chunk of one
            message = messages.Record()
            message.ParseFromString(b"".join(parts))
            parts = []
            yield message


def read_offline(path: Path) -> Logged:
    """What the `.wandb` file `path` says of its run."""
    run, history, summary, exit_code = None, {}, {}, None
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
        elif kind == "history":
            step = record.history.step.num
            row = history.setdefault(step, {})
            row |= {_name(item): json.loads(item.value_json) for item in record.history.item}
        elif kind == "summary":
            summary |= {_name(item): json.loads(item.value_json) for item in record.summary.update}
        elif kind == "exit":
            exit_code = record.exit.exit_code
    return Logged(run, history, summary, exit_code)


def _name(item) -> str:
    return item.key or ".".join(item.nested_key)


@pytest.fixture
def logged():
    """`logged(path)`: what the `.wandb` file `path` says of its run, which has ended."""

    def ended(path: Path) -> Logged:
        """The process that writes the file is another, and may be at it still."""
        until = time.monotonic() + WAIT
        while (found := read_offline(path)).exit_code is None and time.monotonic() < until:
            time.sleep(0.1)
        return found

    return ended


def _make_row(parameterization="plain", seed=0, **changes) -> Row:
    """A row of the Natural images with Gaussian features, two items, unless told otherwise."""
    values = {
        "protocol": protocol_of(changes.get("experiment", "image_natural")),
        "experiment": "image_natural",
        "parameterization": parameterization,
        "embedding": "gaussian",
        "model": "mlp",
        "variant": (),
        "seed": seed,
        "profile": "quick",
        "reduced": "64x64 pixels, 500 steps",
        "data": {"name": "photographs", "checksum": "c0", "stand_in": None},
        "items": ("astronaut", "coffee"),
        "metric": "psnr",
        "metrics": {"psnr": (26.0, 28.0)},
        "status": "finished",
        "steps": 500,
        "seconds": 30.0,
        "iterations_per_second": 16.0,
        "device": "cpu",
        "device_name": "a processor, 1 core",
        "precision": "float32",
        "packages": {},
        "commit": None,
        "dirty": None,
        "date": "2026-11-23T00:00:00+00:00",
    } | changes
    name = f"{parameterization}-{values['embedding']}-s{seed}-{values['profile']}-{values['date']}"
    return Row(**{"id": name, **values})


@pytest.fixture
def make_row():
    return _make_row
