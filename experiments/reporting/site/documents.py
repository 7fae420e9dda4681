"""The pages of docs/ as HTML, for the report."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

DOCS = Path(__file__).resolve().parents[3] / "docs"


def documents() -> dict[str, str]:
    """The pages of docs/ by name, as HTML; the links between them lead to each other's pages in the report."""
    return {path.stem: markdown(path.read_text(encoding="utf-8")) for path in sorted(DOCS.glob("*.md"))}


def pictures() -> list[Path]:
    """The pictures that the pages show, which stand in figures/ beside them."""
    return sorted((DOCS / "figures").glob("*.png"))


def markdown(text: str) -> str:
    """Markdown as HTML: tables in boxes of their own, raw HTML as text, links out of docs/ taken off."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule(
        "table_open", lambda *_: f'<div class="scroll" tabindex="0" role="region" {LABEL}><table>'
    )
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    tokens = parser.parse(text)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrs["id"] = anchor_of(tokens[place + 1].content)
        for child in token.children or ():
            _relink(child)
    return parser.renderer.render(tokens, parser.options, {})


def anchor_of(heading: str) -> str:
    """The anchor of a heading, as code hosts make it.

    >>> anchor_of("Darcy flow, the law of the coefficient")
    'darcy-flow-the-law-of-the-coefficient'
    """
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


LABEL = 'aria-label="table"'


def _relink(token: Token) -> None:
    if token.type != "link_open":
        return
    target = str(token.attrs["href"])
    page, _, anchor = target.partition("#")
    if page in {path.name for path in DOCS.glob("*.md")}:
        token.attrs["href"] = f"{page.removesuffix('.md')}.html" + (f"#{anchor}" if anchor else "")
    elif "://" not in target:
        del token.attrs["href"]


def inline(text: str) -> str:
    """One paragraph of Markdown as HTML, without the paragraph."""
    return MarkdownIt("commonmark", {"html": False}).renderInline(text)
