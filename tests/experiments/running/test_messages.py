"""Messages about runs survive the line between two processes, and pickle, by which clusters send them."""

import pickle

import pytest

from experiments.running.messages import Advanced, Done, Failed, Stopped, from_line, to_line


@pytest.fixture
def messages(make_row):
    rows = (make_row("rwf", seed=0), make_row("rwf", seed=1))
    moved = Advanced(3, 10, 1, 2, {"loss": "0.1"})
    return [moved, Done(rows), Failed("no μ here"), Stopped("at step 3 of 10")]


def test_a_line_says_what_the_message_says(messages):
    for n, message in enumerate(messages):
        line = to_line(n, message)
        assert "\n" not in line and from_line(line) == (n, message)


def test_messages_can_be_pickled(messages):
    assert pickle.loads(pickle.dumps(messages)) == messages


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"run": 0}', '{"run": 0, "lost": {}}', '{"run": 0, "failed": {"reason": "x"}}']
)
def test_anything_else_is_no_message(line):
    with pytest.raises(ValueError):
        from_line(line)


def test_the_share_counts_groups_and_steps():
    assert Advanced(5, 10, 1, 4).share == pytest.approx(0.375)
