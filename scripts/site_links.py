"""What mkdocs is told beyond mkdocs.yml: pages from outside docs/, and links as they are on the site.

The README is the first page. A link to a file that is no page of the site, such as a table, becomes its text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"README.md": "index.md", "data/README.md": "data.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie outside docs/."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page with its links as they are on the site."""
    return relinked(markdown, page.file.src_uri)


def relinked(text: str, page: str) -> str:
    """`text` of a page of the site, its links to files of the repository replaced; code is left alone."""
    sources = {site: source for source, site in PAGES.items()}
    source = sources.get(page, f"docs/{page}")
    fenced = False
    lines = []
    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        code = fenced or line.startswith("    ")
        lines.append(line if code else LINK.sub(lambda match: _link(match, source, page), line))
    return "\n".join(lines)


def _link(match: re.Match[str], source: str, page: str) -> str:
    text, target = match.groups()
    path, hash_, anchor = target.partition("#")
    if "://" in target or not path:
        return match.group(0)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if path in PAGES:
        path = PAGES[path]
    elif path.startswith("docs/"):
        path = path.removeprefix("docs/")
    else:
        return text
    return f"[{text}]({posixpath.relpath(path, posixpath.dirname(page) or '.')}{hash_}{anchor})"
