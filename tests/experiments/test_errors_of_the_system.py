"""A disk that is full or read-only: the file is named, what to do is said, and nothing goes on as if all were well."""

import errno
import os
from types import SimpleNamespace

import pytest

from experiments.config.compose import ConfigError, configure
from experiments.files import naming, system_error, write_text
from experiments.running.engine import carry_out
from experiments.running.messages import Done
from experiments.running.run import finished_rows, folder_of
from experiments.training.history import History


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_error_of_a_write_names_the_file_and_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as raised:
        write_text(tmp_path / "a.txt", "text")
    said = system_error(raised.value)
    assert said.startswith(f"{tmp_path / 'a.txt'}: No space left on device: make room")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError) as raised, naming(tmp_path / "b.txt"):
        (tmp_path / "absent").read_text()
    assert raised.value.filename == str(tmp_path / "absent")


def test_a_history_is_whole_when_rewinding_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    history = History(path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"history\.jsonl"):
        history.rewind(1)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


class Ready:
    """A launcher whose runs end at once."""

    def check(self):
        pass

    def at_a_time(self):
        return 1

    def carry_out(self, work, logs, report):
        for part in work:
            for run in part:
                report(run, Done(()))


def test_rows_that_cannot_be_added_are_reported_as_failures(tmp_path):
    run = SimpleNamespace(label="one", steps=1, rows=None, stack=None)
    ended = carry_out([run], Ready(), tmp_path, keep=full)
    assert ended.failed["one"].startswith("its rows were not added: No space left on device")
    assert ended.exit_code == 1


def test_a_damaged_result_is_named_with_its_remedy(tmp_path):
    words = ["experiment=regression_1d", "profile=smoke", "tracking=none", f"runs={tmp_path}"]
    config = configure(words)
    folder = folder_of(config, config.task.source())
    folder.mkdir(parents=True)
    (folder / "result.json").write_text('{"rows"')
    with pytest.raises(ConfigError, match=r"result\.json: not valid JSON.*: delete this file and run again"):
        finished_rows(config)


@pytest.mark.parametrize("word", ["=3", "model._partial_=7"])
def test_an_empty_key_and_a_partial_that_is_none_are_refused(word):
    with pytest.raises(ConfigError):
        configure(["experiment=regression_1d", "profile=smoke", word])
