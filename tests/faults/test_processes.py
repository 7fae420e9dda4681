"""Faults of processes: kills, two at once, a server that does not answer, damaged checkpoints."""

import random
import shutil
import socket
import time

import pytest

from tests.faults.places import LONG, OFTEN, end, ended, good, same_results, same_run

pytestmark = pytest.mark.slow


def until_planned(process):
    """Wait until a reproduction has printed its plan."""
    next(line for line in process.stdout if line.startswith(("estimated time", "[1/")))


@pytest.mark.reliability(
    "kill -9 of a reproduction and all its workers at random moments, then one clean pass."
)
def test_kills(place, in_full, record_property):
    target, count = ("table_1", 20) if in_full else ("table_11", 3)
    undisturbed, disturbed = place("undisturbed"), place("disturbed")
    process = undisturbed.reproduce(target)
    until_planned(process)
    begun = time.monotonic()
    good(process)
    span = 2 * (time.monotonic() - begun) / count  # kills spread over about the time that all runs take
    moments = random.Random(7)
    words = [word for setting in OFTEN for word in ("--set", setting)]
    planning, training = 0, 0
    for number in range(count):
        process = disturbed.reproduce(target, *words)
        if number % 5 == 0:
            time.sleep(moments.uniform(0.5, 5.0))
        else:
            until_planned(process)
            time.sleep(moments.uniform(0.0, span))
        end(process)
        configs = list(disturbed.runs.glob("*/*/config.yaml"))
        cut = any(not path.with_name("result.json").exists() for path in configs)
        planning, training = planning + (number % 5 == 0), training + (cut and number % 5 > 0)
    finished = len(list(disturbed.runs.glob("*/*/result.json")))
    good(disturbed.reproduce(target))
    rows = same_results(undisturbed, disturbed, [target])
    assert not list(disturbed.runs.glob("*/*/checkpoints")), "checkpoints of finished runs were left"
    record_property(
        "seen",
        f"{count} kills of {target} ({planning} of them while it started or planned, {training} with runs begun and "
        f"not ended; {finished} of {rows} runs were finished after the last), one clean pass: {rows} rows, their "
        "histories and the table are those of an undisturbed pass",
    )


@pytest.mark.reliability("Two reproductions of the same table in the same folders at the same time.")
def test_two_at_once(place, in_full, record_property):
    target = "table_6" if in_full else "table_11"
    alone, shared = place("alone"), place("shared")
    good(alone.reproduce(target))
    for process in [shared.reproduce(target) for _ in range(2)]:  # their output fits the pipes meanwhile
        good(process)
    rows = same_results(alone, shared, [target])
    record_property(
        "seen", f"both ended well; {rows} rows of {target}, none twice, equal to those of one alone"
    )


@pytest.mark.reliability("W&B online with a server that does not answer: a closed local port.")
def test_no_server(place, record_property):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    alone = place("place", WANDB_BASE_URL=f"http://127.0.0.1:{port}", WANDB_API_KEY="0" * 40)
    begun = time.monotonic()
    errors = good(alone.train("experiment=regression_1d", "tracking=wandb", "tracking.mode=online"))
    assert list(alone.runs.glob("*/*/result.json"))
    (warning,) = (line for line in errors.splitlines() if "tracking" in line and "goes on without it" in line)
    seconds, said = time.monotonic() - begun, warning.removeprefix("warning: ")[:160]
    record_property("seen", f"the run ended well after {seconds:.0f} s, with one warning: “{said}”")


def checkpoints(runs, past=0):
    """The checkpoints of the one run there, oldest first, of steps beyond `past`."""
    return [path for path in sorted(runs.glob("*/*/checkpoints/group-*.npz")) if step(path) > past]


def step(path):
    return int(path.stem.split("-")[-1])


def cut(content):
    return content[: len(content) // 2]


def one_bit_changed(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.reliability(
    "A run killed once it has two checkpoints, the newest then cut short, or with one bit changed."
)
def test_damaged_checkpoints(place, record_property):
    whole, killed = place("whole"), place("killed")
    good(whole.train(*LONG))
    process = killed.train(*LONG, *OFTEN)
    while len(checkpoints(killed.runs, past=1000)) < 2:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    end(process)
    for damage in (cut, one_bit_changed):
        damaged = place(damage.__name__, killed.cache)
        shutil.copytree(killed.runs, damaged.runs)
        *_, before, newest = checkpoints(damaged.runs)
        newest.write_bytes(damage(newest.read_bytes()))
        code, errors = ended(damaged.train(*LONG))
        (said,) = (line for line in errors.splitlines() if "checkpoint passed over" in line)
        assert code == 0 and newest.name in said
        same_run(whole, damaged, "regression_1d")
    record_property(
        "seen",
        "each time a warning that names it, the run went on from the one before "
        f"(step {step(before)}), to the numbers of an undisturbed run",
    )
