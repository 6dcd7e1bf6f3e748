"""What MkDocs is told about the documents: a hook of mkdocs.yml (``python -m mkdocs`` in the repository's root).

The documents are written for three readers: GitHub, the folder on a line PC, and the site. The first two follow links
by files and read Markdown by CommonMark's rules. The site has the folder docs/ alone, and a parser of its own. So, for
the site alone:

- the documents beside docs/ that its pages point at are taken in, at the places where the repository has them;
- a link is followed in the repository, and written anew for the site;
- the name of a document and the number of a decision that stand in a text become links;
- lists and tables are written as the parser wants them (``commonmark``).
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from tests.documents.commonmark import outside_code, set_apart

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_ROOT = Path(__file__).resolve().parents[2]
_BESIDE = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "deploy/alerts.yml",
    "deploy/edge-agent.nft",
    "deploy/grafana-dashboard.json",
    "deploy/line.example.toml",
    "deploy/nginx-edge-agent.conf",
    "drivers/README.md",
    "drivers/ethernet_ip/PROTOCOL.md",
    "drivers/keyence/PROTOCOL.md",
    "drivers/kv_hostlink/PROTOCOL.md",
    "drivers/modbus/PROTOCOL.md",
    "drivers/s7/PROTOCOL.md",
    "drivers/slmp/PROTOCOL.md",
    "tests/RESULTS.md",
)
"""What the site has of the repository beside docs/."""
_DECISIONS = {path.name[:4]: path.name for path in sorted((_ROOT / "docs/decisions").glob("[0-9]*.md"))}
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_KEPT = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)|\[[^\]\n]*\]\([^)\n]*\)")
"""Code, and what is a link already: no number in it is a decision's."""
_NUMBER = re.compile(r"(?<![\w.,/:-])(0\d{3})(?![\w/:-]|[.,]\d)")
_DOCUMENT = re.compile(r"`(?P<path>[A-Za-z][\w./-]*?)(?:/(?P<number>\d{4}))?`")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give every decision its place in the navigation, below their index."""
    pages = [f"decisions/{name}" for name in _DECISIONS.values()]
    config.nav = [
        {"Decisions": [part["Decisions"], *pages]} if isinstance(part, dict) and "Decisions" in part else part
        for part in config.nav or []
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in what lies beside docs/."""
    for name in _BESIDE:
        files.append(File.generated(config, name, abs_src_path=str(_ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """One page as the site's parser wants it, with links that lead to pages of the site."""
    del config
    here = page.file.src_uri
    if here == "index.md":  # said here and not at the head of the page, where GitHub would show it
        page.meta["hide"] = ["navigation", "toc"]
    links = _Links(here, {file.src_uri for file in files})
    return outside_code(set_apart(markdown), links.of_line)


def _uri(path: str) -> str:
    """Where the site has a file of the repository: README.md is its home page, and a folder is its index."""
    if path in ("README.md", "docs"):
        return "index.md"
    uri = path.removeprefix("docs/")
    return f"{uri}/README.md" if uri in ("decisions", "reference", "drivers") else uri


class _Links:
    """The links of one page."""

    def __init__(self, here: str, known: set[str]) -> None:
        self._here = here
        self._folder = posixpath.dirname(here if here in _BESIDE else f"docs/{here}")
        self._known = known

    def of_line(self, line: str) -> str:
        """A line with its links as the site has them, and names and numbers made links; a heading keeps its text."""
        line = _LINK.sub(self._followed, line)
        if line.startswith("#"):
            return line
        made, end = [], 0
        for kept in _KEPT.finditer(line):
            made += [_NUMBER.sub(self._numbered, line[end : kept.start()]), _DOCUMENT.sub(self._named, kept[0])]
            end = kept.end()
        return "".join([*made, _NUMBER.sub(self._numbered, line[end:])])

    def _followed(self, link: re.Match[str]) -> str:
        target, sign, anchor = link[2].partition("#")
        uri = _uri(posixpath.normpath(posixpath.join(self._folder, target)))
        return f"{link[1]}{self._to(uri)}{sign}{anchor}{link[3]}" if target and uri in self._known else link[0]

    def _named(self, code: re.Match[str]) -> str:
        if code.string.startswith("["):
            return code[0]
        path = code["path"]
        if code["number"]:
            path = f"{path}/{_DECISIONS.get(code['number'], '')}"
        from_here = posixpath.normpath(posixpath.join(self._folder, path))
        for uri in (_uri(path), _uri(from_here)):
            if uri in self._known and uri != self._here and "." in uri:
                return f"[{code[0]}]({self._to(uri)})"
        return code[0]

    def _numbered(self, number: re.Match[str]) -> str:
        name = _DECISIONS.get(number[1])
        return number[0] if name is None else f"[{number[1]}]({self._to(f'decisions/{name}')})"

    def _to(self, uri: str) -> str:
        return posixpath.relpath(uri, posixpath.dirname(self._here) or ".")
