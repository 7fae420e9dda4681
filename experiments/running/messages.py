"""What is said of a run while it is trained elsewhere: how far it is, and once, how it ended."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from experiments.records import Row


@dataclass(frozen=True)
class Advanced:
    """It is at `step` of `steps` of a group; `values`: loss and metric in words, where they are new."""

    step: int
    steps: int
    group: int = 0
    groups: int = 1
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """How much of the run is done, from 0 to 1."""
        return (self.group + self.step / self.steps) / self.groups


@dataclass(frozen=True)
class Done:
    """It is finished, with a row for each seed."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Failed:
    """It ended with an error, in one line."""

    error: str


@dataclass(frozen=True)
class Stopped:
    """Time did not suffice; the same command goes on."""

    error: str


NOT_BEGUN = Stopped("not begun in the time there was")
Ending = Done | Failed | Stopped
Message = Advanced | Ending
KINDS: Mapping[str, type[Message]] = {
    kind.__name__.lower(): kind for kind in (Advanced, Done, Failed, Stopped)
}


def to_line(run: int, message: Message) -> str:
    """`message` about the run at position `run` as a line of JSON, without its end."""
    content = (
        dataclasses.asdict(message)
        if not isinstance(message, Done)
        else {"rows": [row.to_json() for row in message.rows]}
    )
    return json.dumps({"run": run, type(message).__name__.lower(): content})


def from_line(line: str) -> tuple[int, Message]:
    """What `to_line` wrote: the run's position and the message. Raises ValueError for anything else."""
    try:
        found = json.loads(line)
        run = found.pop("run")
        ((name, content),) = found.items()
        if name == "done":
            return run, Done(tuple(Row.from_json(row) for row in content["rows"]))
        return run, KINDS[name](**content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no message: {line.strip()[:80]!r}") from error
