"""Every number in the pages' findings is what the committed rows say.

A finding stands between `<!-- finding begin` and a list `<!-- held` of its numbers, a line each: the words of the
text, an equals sign, and where they come from. "Table 1" is what the README shows: the paper's scale where that has
been run, else short runs.

    count VERDICT RIVAL           lines of Table 1 with this verdict on RWF, of all; RIVAL may be "each"
    ours LINE NAME                our number in Table 1
    paper LINE NAME               the paper's number there
    span LINE                     our smallest and largest of its four columns
    seeds EXPERIMENT NAME         the smallest and largest over seeds at the paper's scale, in per cent
    first EXPERIMENT NAME NAME    the errors of seed 0 of two there, in per cent
    functions EXPERIMENT NAME     mean and standard deviation over the test functions of seed 0 there, in per cent
    quick ...                     one of count, ours, paper and span, in Table 1 of the quick profile alone
    scale ...                     the same at the paper's scale alone
    fair VERDICT RIVAL            tasks of the fair comparison with this verdict on RWF, of those that have RIVAL;
                                  plain_under_soap is compared with RWF under SOAP
    fair tasks                    how many tasks it has
    fair shift [OPTIMIZER]        tasks where RWF's rate is below Plain's by the grid's step that is nearest to e^mean
    tuned TASK COLUMN             what is reported there of a column at its own rate
    setting                       not a result
"""

import functools
import math
import re
from pathlib import Path

import pytest

from experiments.config.compose import configure
from experiments.records import Row, read_results, read_rows
from experiments.reporting.fair import writer
from experiments.reporting.fair.comparison import under
from experiments.reporting.fair.published import results_of
from experiments.reporting.metrics import PARAMETERIZATIONS, metric_named
from experiments.reporting.statistics import summarise
from experiments.reporting.tables import specs
from experiments.reporting.tables.table import Table, TableLine, build
from experiments.reporting.verdicts import PENDING

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("findings", "reproduction", "fair_comparison", "what_rwf_does")
    ),
]
ALONE = {"quick": "quick", "scale": "paper"}
FINDING = re.compile(r"<!-- finding begin.*?-->(.*?)<!-- held\n(.*?)-->", flags=re.DOTALL)
FINDINGS = [
    pytest.param(*found, id=f"{page.name}-{number}")
    for page in PAGES
    for number, found in enumerate(FINDING.findall(page.read_text(encoding="utf-8")))
]


@functools.cache
def rows() -> list[Row]:
    return read_results(ROOT / "results")


@functools.cache
def table(profile: str | None = None) -> Table:
    """Table 1 from all rows, or those of one profile."""
    found = [row for row in rows() if profile in (None, row.profile)]
    return build(specs.table_spec("table_1"), found)


def line_of(label: str, profile: str | None) -> TableLine:
    (line,) = (line for line in table(profile).lines if line.label == label)
    return line


def count(wanted: str, rival: str, profile: str | None = None) -> str:
    lines = table(profile).lines
    found = [line.against_others if rival == "each" else line.comparisons[rival].verdict for line in lines]
    return f"{found.count(wanted)} of {len(found)}"


def ours(label: str, name: str, profile: str | None = None) -> str:
    line = line_of(label, profile)
    found = line.entries[name].ours
    return PENDING if found is None else line.metric.text(found.mean)


def paper(label: str, name: str, profile: str | None = None) -> str:
    line = line_of(label, profile)
    return f"{line.entries[name].paper.value:.{line.metric.decimals}f}"


def span(label: str, profile: str | None = None) -> str:
    line = line_of(label, profile)
    return spanned([100 * line.entries[name].ours.mean for name in PARAMETERIZATIONS])


def by_seed(experiment: str, name: str) -> dict[int, Row]:
    own = (experiment, name, "paper", ())
    found = [
        row
        for row in rows()
        if (row.experiment, row.parameterization, row.profile, tuple(row.variant)) == own
    ]
    return {row.seed: row for row in sorted(found, key=lambda row: row.date)}


def seeds(experiment: str, name: str) -> str:
    return spanned([100 * row.metrics[row.metric][0] for row in by_seed(experiment, name).values()])


def functions(experiment: str, name: str) -> str:
    metrics = by_seed(experiment, name)[0].metrics
    return " ± ".join(f"{100 * metrics[what][0]:.3f}" for what in ("relative_l2", "relative_l2_std"))


def first(experiment: str, left: str, right: str) -> str:
    both = (by_seed(experiment, name)[0] for name in (left, right))
    return " beside ".join(f"{100 * row.metrics[row.metric][0]:.2f}" for row in both)


@functools.cache
def fair_results() -> list[writer.Results]:
    folder = ROOT / "results" / "fair" / "quick" / "rows"
    return results_of([row for path in sorted(folder.glob("*.jsonl")) for row in read_rows(path)], "quick")


def shifted(own: writer.Results, optimizer: str = "") -> bool:
    plain, rwf = (own.report(under(name, optimizer))[0] for name in ("plain", "rwf"))
    words = [f"{key}={value}" for key, value in own.fair.cell.items()]
    mean = configure([*words, "parameterization=rwf", "profile=quick"]).parameterization.mean
    return plain - rwf == round(2 * mean / math.log(10))


def fair(wanted: str, rival: str = "") -> str:
    results = fair_results()
    if wanted == "tasks":
        return f"{len(results)} tasks"
    if wanted == "shift":
        own = [one for one in results if under("rwf", rival) in one.fair.columns]
        return f"{sum(shifted(one, rival) for one in own)} of {len(own)}"
    own = [one for one in results if column_of(rival) in one.fair.columns]
    found = [one.verdict for one in writer.verdicts_on(own, column_of(rival))]
    return f"{found.count(wanted)} of {len(found)}"


def column_of(word: str) -> str:
    """A column of the fair comparison, written as one word: plain, or plain_under_soap."""
    return word.replace("_under_", " under ")


def tuned(task: str, column: str) -> str:
    """What is reported of a column at its own rate."""
    (own,) = (one for one in fair_results() if one.fair.name == task)
    _, found, selecting = own.report(column_of(column))
    values, _ = own.fair.reported(found, selecting)
    return metric_named(own.fair.metric).text(summarise(values).mean)


def spanned(values: list[float]) -> str:
    return " to ".join(f"{value:#.2g}".rstrip(".") for value in (min(values), max(values)))


SOURCES = {f.__name__: f for f in (count, ours, paper, span, seeds, first, functions, fair, tuned)}


@pytest.mark.parametrize(("text", "held"), FINDINGS)
def test_every_number_is_what_the_rows_say(text, held):
    left = " ".join(re.sub(r"\]\([^)]*\)", "]", text).split())
    for line in held.strip().splitlines():
        words, source = line.split(" = ")
        assert words in left, f"{words!r} is held but not in the text"
        if source != "setting":
            kind, *rest = source.split()
            value = (
                SOURCES[rest[0]](*rest[1:], profile=ALONE[kind]) if kind in ALONE else SOURCES[kind](*rest)
            )
            assert value == words, f"the text says {words!r}, the rows {value!r} ({source})"
    for words in sorted((line.split(" = ")[0] for line in held.strip().splitlines()), key=len, reverse=True):
        left = left.replace(words, "")
    # A name may hold a digit (L2, 1-D, Figure 2); any other number must be held.
    assert not re.findall(r"(?<![\w-])\d[\d.,]*(?![\w-])", re.sub(r"(?:Figure|Table) \d+", "", left)), left


def test_the_pages_have_findings():
    assert len(FINDINGS) >= 4
