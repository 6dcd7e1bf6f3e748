"""The documents: what is made of the code is current, links lead somewhere, the site needs nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.documents import decisions
from tests.documents.pages import DOCS, current

ROOT = Path(__file__).parents[2]
README_WORDS = 600
MARKDOWN = MarkdownIt("commonmark").enable("table")
needs_mkdocs = pytest.mark.skipif(
    find_spec("mkdocs") is None or find_spec("material") is None,
    reason="MkDocs and its Material theme are not installed: pip install -c constraints.txt -e '.[docs]'",
)


def pages() -> list[Path]:
    """Every document that people read, but not what tools left in the folder."""
    beside = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "drivers/README.md")]
    return [*beside, *ROOT.glob("drivers/*/PROTOCOL.md"), *DOCS.rglob("*.md")]


@cache
def slugs(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    found: set[str] = set()
    tokens = MARKDOWN.parse(page.read_text("utf-8"))
    for opened, inline in pairwise(tokens):
        if opened.type == "heading_open":
            said = "".join(one.content for one in inline.children or () if one.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", said.lower()).replace(" ", "-")
            found.add(slug if slug not in found else f"{slug}-1")
    return found


@cache
def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead, code left out."""
    found = []
    for token in MARKDOWN.parse(page.read_text("utf-8")):
        for one in token.children or ():
            found += [str(one.attrs[name]) for name in ("href", "src") if name in one.attrs]
    return found


def leads_nowhere(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return False
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return True
    return bool(anchor) and (target.suffix != ".md" or anchor not in slugs(target))


@pytest.mark.parametrize("path", current(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_made_of_the_code_is_current(path: Path) -> None:
    assert path.read_text("utf-8") == current()[path], "make reference writes it anew"


def test_every_link_leads_to_a_file_and_a_heading_that_are_there() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {link}" for page in pages() for link in links(page) if leads_nowhere(page, link)
    ]

    assert dead == []
    assert sum(len(links(page)) for page in pages()) > 300


@pytest.mark.parametrize("link", ["nowhere.md", "promises.md#nowhere", "../../outside.md", "pictures/rate.svg#anchor"])
def test_a_link_that_leads_nowhere_is_found(link: str) -> None:
    assert leads_nowhere(DOCS / "index.md", link)


def test_the_readme_can_be_read_in_three_minutes() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= README_WORDS


@pytest.mark.parametrize(
    ("first", "third"),
    [
        ("# 2 A title", "Status: accepted."),
        ("# 0003 Of another number", "Status: accepted."),
        ("# 0002 A title", ""),
        ("# 0002 A title", "Status: under discussion."),
        ("# 0002 A title", "Status: superseded by [0009](0009-not-there.md)."),
    ],
)
def test_a_decision_without_its_number_or_its_status_is_refused(tmp_path: Path, first: str, third: str) -> None:
    (tmp_path / "0002-a-title.md").write_text(f"{first}\n\n{third}\n\nText.\n")

    with pytest.raises(ValueError, match=r"0002-a-title\.md"):
        decisions.page(tmp_path)


def test_a_decision_that_a_newer_one_replaces_says_so_in_the_index(tmp_path: Path) -> None:
    (tmp_path / "0001-old.md").write_text("# 0001 Old\n\nStatus: superseded by [0002](0002-new.md) (all of it).\n")
    (tmp_path / "0002-new.md").write_text("# 0002 New\n\nStatus: accepted.\n")

    assert decisions.page(tmp_path).splitlines()[-2:] == [
        "| 0001 | [Old](0001-old.md) | superseded by [0002](0002-new.md) |",
        "| 0002 | [New](0002-new.md) | accepted |",
    ]


class Seen(HTMLParser):
    """What a page of the site loads, and how often it has each element within its article."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.counts: dict[str, int] = {}
        self._is_article = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self._is_article = self._is_article or tag == "article"
        if self._is_article:
            self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag in ("script", "img", "iframe", "source", "link") and told.get("rel") not in (
            "canonical",
            "next",
            "prev",
        ):
            self.loads += [url for url in (told.get("src"), told.get("href")) if url]

    def handle_endtag(self, tag: str) -> None:
        self._is_article = self._is_article and tag != "article"


def shape(html: str) -> dict[str, int]:
    """How often a page has each element that a reader would miss."""
    tags = ("h1", "h2", "h3", "li", "ol", "ul", "table", "tr", "pre", "strong", "em", "img", "blockquote")
    return {tag: number for tag, number in Seen(html).counts.items() if tag in tags}


def html_name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix().replace("README.md", "index.html").replace(".md", ".html")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: a link, an anchor or a page without a place fails it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.slow
@needs_mkdocs
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loads = {url for page in site.rglob("*.html") for url in Seen(page.read_text("utf-8")).loads}
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))

    assert [url for url in loads if re.match(r"[a-z]*:?//", url)] == []
    assert re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*|@import[^;]*", styles) == []
    assert (site / "search/search_index.js").stat().st_size > 100_000


@pytest.mark.slow
@needs_mkdocs
def test_lists_tables_and_code_come_out_as_on_github(site: Path) -> None:
    """The site's parser is another one than GitHub's: tests/documents/site.py makes up for it."""
    differ = {
        page.name: (on_github, on_site)
        for page in sorted(DOCS.rglob("*.md"))
        if (on_github := shape(f"<article>{MARKDOWN.render(page.read_text('utf-8'))}</article>"))
        != (on_site := shape((site / html_name(page)).read_text("utf-8")))
    }

    assert differ == {}
    assert len(list(site.rglob("*.html"))) > 100


@pytest.mark.slow
@needs_mkdocs
def test_names_of_documents_and_numbers_of_decisions_are_links_on_the_site(site: Path) -> None:
    page = (site / "decisions/0006-images-are-proven-before-226.html").read_text("utf-8")
    line_pc = (site / "line-pc.html").read_text("utf-8")

    assert '(<a href="0082-a-parts-row-waits-for-nothing-else.html">0082</a>)' in page
    assert '<a href="decisions/0010-journal-before-pass.html"><code>docs/decisions/0010</code></a>' in line_pc
