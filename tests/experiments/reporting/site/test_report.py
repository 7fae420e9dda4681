"""The HTML report: each number leads to its row, the pages are whole and stand alone, what is missing is said."""

import itertools
import re
from pathlib import Path
from urllib.parse import unquote

import html5lib
import pytest

from experiments import report
from experiments.records import add_rows
from experiments.reporting import provenance
from experiments.reporting.figures.drawing import figure_spec
from experiments.reporting.loading import Records, Run, load_published, load_records, load_runs
from experiments.reporting.publishing import publish
from experiments.reporting.site import documents
from experiments.reporting.site import pages as site
from experiments.reporting.studies import study as studies
from experiments.reporting.tables import settings, specs

HTML = "{http://www.w3.org/1999/xhtml}"
DRAWN = ["figure_5", "figure_7", "figure_16"]


def parse(path: Path):
    """The page as a tree; a page that is not valid HTML fails."""
    parser = html5lib.HTMLParser(strict=True)
    return parser.parse(path.read_text(encoding="utf-8"))


def text_of(element) -> str:
    return " ".join("".join(element.itertext()).split())


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report of some runs and rows, as parsed pages by name, beside what it was made from."""
    from tests.experiments.conftest import _make_row
    from tests.experiments.reporting import conftest as synthetic

    folder = tmp_path_factory.mktemp("report")
    cells = figure_spec("figure_5").groups["diffusion_reaction"].cells
    cells = [cell for cell in cells if cell.parameterization != "wn"]
    make = synthetic.make_runs.__wrapped__(_make_row)
    runs = load_runs(make(folder / "runs", cells))
    rows = [
        _make_row(name, metrics={"psnr": (20.0 + n, 22.5 + n)}, data={
            "name": "a<b & c", "checksum": "c0ffee", "stand_in": None}, commit="abc1234", dirty=True)
        for n, name in enumerate(("plain", "aa", "wn", "rwf"))
    ]  # fmt: skip
    (folder / "results" / "quick").mkdir(parents=True)
    (folder / "results" / "quick" / "figure_7.png").write_bytes(b"a picture")
    (folder / "results" / "quick" / "figure_7.md").write_text(
        "**Figure 7.** As *kept*.\n\n![x](figure_7.png)\n"
    )
    rows += study_rows(_make_row)
    everything = [*runs, *map(Run, rows)]
    records = Records(everything)
    with pytest.MonkeyPatch.context() as patch:
        names = {"": specs.names(), "table": ["table_1", "table_6"], "figure": DRAWN}
        patch.setattr(specs, "names", lambda kind="": names[kind])
        patch.setattr(site, "study_names", lambda: ["rwf_log", "text_std"])
        site.write_site(records, folder / "results", folder / "out")
    return {path.name: parse(path) for path in (folder / "out").glob("*.html")}, everything, folder / "out"


def study_rows(make_row):
    """Rows of every choice and column of a study of two seeds, RWF with log s being worse than RWF."""
    study = studies.read_study("rwf_log")
    values = {"plain": 0.04, "aa": 0.03, "wn": 0.02, "rwf": 0.01, "rwf_log": 0.08}
    return [
        make_row(
            cell.parameterization, seed, experiment=cell.experiment, embedding=cell.embedding, model=cell.model,
            variant=cell.variant, metric="relative_l2", items=("regression_1d",),
            metrics={"relative_l2": (values[cell.parameterization] * (1 + 0.01 * seed),)}, profile="short",
        )
        for cell in study.places("short")
        for seed in (0, 1)
    ]  # fmt: skip


def test_studies_have_a_page_with_table_figure_and_intervals(pages):
    trees, _, folder = pages
    done, pending = (
        trees["studies.html"].find(f".//*[@id='study_{name}']") for name in ("rwf_log", "text_std")
    )
    text = text_of(done)
    assert "RWF's advantage against" in text and "Plain against" not in text  # Plain has the same runs
    assert "×8.00 error" in text and "worse" in text
    numbers = [a for a in done.iter(f"{HTML}a") if text_of(a).startswith("8.04")]
    (number,) = numbers  # the mean of 8 % and 8.08 %
    page, _, anchor = number.get("href").partition("#")
    assert "rwf_log, seed 0" in number.get("title") and "rwf_log, seed 1" in number.get("title")
    assert anchor in ids(trees[page])
    assert (folder / "figures" / "study_rwf_log.png").stat().st_size > 10_000
    assert "Pending: make study-text-std" in text_of(pending)


def test_every_number_of_ours_leads_to_its_rows(pages):
    trees, runs, _ = pages
    found = 0
    for tree in trees.values():
        for cell in tree.iter(f"{HTML}td"):
            links = [a for a in cell.iter(f"{HTML}a") if a.get("class") == "number"]
            if cell.get("class", "").startswith("value") and re.match(r"[\d.]+", text_of(cell)) and links:
                page, _, anchor = unquote(links[0].get("href")).partition("#")
                assert page in trees and (not anchor or anchor in ids(trees[page]))
                assert "seed 0" in links[0].get("title") and "commit" in links[0].get("title")
                found += 1
    assert found > 15
    (rwf,) = (a for a in trees["index.html"].iter(f"{HTML}a") if text_of(a) == "24.25")
    row = next(
        run.row for run in runs if run.row.experiment == "image_natural" and run.row.parameterization == "rwf"
    )
    assert rwf.get("href") == f"rows_image_natural.html#{provenance.anchor_of(row)}"
    assert "abc1234 with changes, data a<b & c c0ffee" in rwf.get("title")


def test_no_number_of_ours_stands_without_a_link(pages):
    for line in pages[0]["index.html"].iter(f"{HTML}td"):
        if "value" in line.get("class", "") and "pending" not in text_of(line):
            own = (line.text or "").strip()
            assert own in ("", "–"), own


def ids(tree) -> set[str]:
    return {element.get("id") for element in tree.iter() if element.get("id")}


def test_pages_are_valid_and_their_links_lead_somewhere(pages):
    trees, _, folder = pages
    for name, tree in trees.items():
        named = [element.get("id") for element in tree.iter() if element.get("id")]
        assert len(named) == len(set(named)), name
        for element in tree.iter():
            for attribute in ("href", "src"):
                target = unquote(element.get(attribute) or "")
                page, _, anchor = target.partition("#")
                if target and "://" not in target:
                    assert not page or (folder / page).exists(), (name, target)
                    page = page or name
                    assert not anchor or page not in trees or anchor in ids(trees[page]), (name, target)


def test_nothing_is_loaded_from_elsewhere(pages):
    trees, _, folder = pages
    for name, tree in trees.items():
        for element in tree.iter():
            if not isinstance(element.tag, str):
                continue
            assert element.tag != f"{HTML}script"
            loaded = element.get("src") or (element.get("href") if element.tag == f"{HTML}link" else "") or ""
            assert "//" not in loaded, (name, loaded)
        assert not re.search(r"url\((?!#)", (folder / name).read_text())
    style = (folder / "style.css").read_text()
    assert "url(" not in style and "@import" not in style


def test_it_can_be_read_without_seeing_it(pages):
    for tree in pages[0].values():
        assert tree.get("lang") == "en" and len(list(tree.iter(f"{HTML}h1"))) == 1
        levels = [int(e.tag[-1]) for e in tree.iter() if re.fullmatch(rf"{HTML}h\d", str(e.tag))]
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert all(picture.get("alt") for picture in tree.iter(f"{HTML}img"))
        for table in tree.iter(f"{HTML}table"):
            assert list(table.iter(f"{HTML}th"))
    svgs = [e for e in pages[0]["curves.html"].iter("{http://www.w3.org/2000/svg}svg")]
    assert len(svgs) == 2 and all(e.get("role") == "img" and e.get("aria-label") for e in svgs)


def test_what_is_missing_is_said_and_what_was_kept_is_shown(pages):
    trees, _, folder = pages
    figures = text_of(trees["figures.html"])
    assert "Pending: no run of this figure is here; make figure-16" in figures
    assert "As kept. (kept from profile quick)" in figures
    assert (folder / "figures" / "figure_7.png").read_bytes() == b"a picture"
    assert (
        folder / "figures" / "figure_5.png"
    ).stat().st_size > 10_000 and "9 of 12 cells pending" in figures
    index = text_of(trees["index.html"])
    assert "pending in 11 (Text," in index and "0 of 3 rows, the others pending" in index


def test_a_row_is_shown_with_all_its_fields(pages):
    trees, runs, _ = pages
    page = text_of(trees["rows_image_natural.html"])
    row = next(run.row for run in runs if run.row.experiment == "image_natural")
    for name, value in row.to_json().items():
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            assert str(value) in page, name
    for value in ("c0ffee", "a<b & c", "psnr, astronaut", "abc1234 with changes", "gaussian mapping"):
        assert value in page


def test_a_report_of_nothing_says_that_all_is_pending(tmp_path, monkeypatch, capsys):
    table = settings.read("table_4")
    monkeypatch.setattr(settings, "read", lambda name: table)
    folders = ("results", "runs", "rows", "output")
    assert report.main([f"--{name}={tmp_path / name}" for name in folders]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'output' / 'index.html'}\n"
    for page in ("index", "curves", "costs", "rows"):
        assert "ending" in text_of(parse(tmp_path / "output" / f"{page}.html")), page
    assert (tmp_path / "output" / "figures" / "figure_1.png").exists()


def test_rows_of_runs_output_and_results_are_taken_once(tmp_path, make_row, write_run):
    row = make_row()
    write_run(tmp_path / "runs" / "image_natural" / "a", [row])
    add_rows(tmp_path / "output", [row, make_row("rwf")])
    add_rows(tmp_path / "results", [row, make_row(date="2026-11-01T00:00:00+00:00"), make_row("aa")])
    records = load_records(tmp_path / "runs", tmp_path / "output", tmp_path / "results")
    own = [(run.row.parameterization, run.folder is None) for run in records.own]
    assert own == [("plain", False), ("rwf", True)]
    assert len(records.published) == 3 and len(records.every) == 4


def test_a_clone_has_published_figures_curves_and_tables(tmp_path, monkeypatch):
    """No runs of one's own: all is drawn from what is published, and said to be."""
    from tests.experiments.conftest import _make_row
    from tests.experiments.reporting import conftest as synthetic

    make = synthetic.make_runs.__wrapped__(_make_row)
    publish(load_runs(make(tmp_path / "runs", figure_spec("figure_7").cells)), tmp_path / "results")
    names = {"": specs.names(), "table": ["table_1", "table_6"], "figure": ["figure_7"]}
    monkeypatch.setattr(specs, "names", lambda kind="": names[kind])
    monkeypatch.setattr(site, "study_names", lambda: [])
    site.write_site(load_records(None, None, tmp_path / "results"), tmp_path / "results", tmp_path / "out")
    trees = {path.name: parse(path) for path in (tmp_path / "out").glob("*.html")}
    assert "Drawn from the published runs." in text_of(trees["figures.html"])
    assert "Pending" not in text_of(trees["figures.html"])
    assert "published: by the project; nothing of your own" in text_of(trees["tables.html"])
    curves = list(trees["curves.html"].iter("{http://www.w3.org/2000/svg}svg"))
    assert len(curves) == 2 and "mlp, quick, published" in text_of(trees["curves.html"])


def test_ones_own_stands_above_what_is_published(tmp_path, monkeypatch, make_row):
    monkeypatch.setattr(specs, "names", lambda kind="": {"": [], "table": ["table_1"], "figure": []}[kind])
    monkeypatch.setattr(site, "study_names", lambda: [])
    add_rows(tmp_path / "results", [make_row("rwf", seed, metrics={"psnr": (25.0, 26.0)}) for seed in (0, 1)])
    own = make_row("rwf", metrics={"psnr": (21.0, 22.0)}, date="2026-12-01T00:00:00+00:00")
    site.write_site(
        Records([Run(own)], load_published(tmp_path / "results")), tmp_path / "results", tmp_path / "out"
    )
    page = parse(tmp_path / "out" / "index.html")
    (number,) = (a for a in page.iter(f"{HTML}a") if text_of(a) == "21.50")
    assert "2026-12-01" in number.get("title") and "published 25.50" in text_of(page)


def test_markdown_of_docs_stays_within_the_report():
    page = documents.markdown(
        "[a](solvers.md#b) [c](../README.md) [d](https://e.org)\n\n|x|\n|-|\n|<b>y</b>|\n"
    )
    assert 'href="solvers.html#b"' in page and "README" not in page and "https://e.org" in page
    assert page.count('<div class="scroll"') == 1 and "&lt;b&gt;y" in page
