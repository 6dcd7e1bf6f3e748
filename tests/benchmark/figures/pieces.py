"""The work folder: a JSON file a piece, so that what was measured is not measured again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from calibration.manifest import package_versions
from edge_agent.store.fs import write_durably
from tests.results import commit
from tests.shards import code_under_test

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmark.figures.plan import Piece

__all__ = ["Done", "Maker", "Pieces", "digest_of"]

_MEASURED = (
    "calibration",
    "edge_agent/inspection",
    *(f"tests/benchmark/figures/{it}.py" for it in ("measure", "seen")),
)
"""What other code does changes no figure."""


@dataclass(frozen=True, slots=True)
class Maker:
    """What measures: its ``code`` and ``packages`` decide whether a piece is of today, its ``commit`` is told."""

    code: str
    packages: dict[str, str]
    commit: str

    @classmethod
    def now(cls) -> Maker:
        """As it stands in the working tree: asked once, at the start, for what is changed later does not run."""
        ran = subprocess.run(
            ["git", "status", "--porcelain", "--", *_MEASURED], capture_output=True, text=True, check=False
        )
        changed = " with changes that are not committed" if ran.stdout.strip() else ""
        return cls(code_under_test(*_MEASURED), package_versions(), f"{commit()}{changed}")


@dataclass(frozen=True, slots=True)
class Done:
    """What a piece ``found``, at which ``commit``, and the day (UTC) on which it was ``measured``."""

    found: dict[str, Any]
    commit: str
    measured: str


class Pieces:
    """The pieces of one data set in its folder. They are good for this maker and these images.

    ``accept_older`` takes what other code or packages measured as well; its commit is told in the table.
    """

    def __init__(self, folder: Path, images: str, maker: Maker, *, accept_older: bool = False) -> None:
        self._folder, self._images, self._maker, self._accept_older = folder, images, maker, accept_older

    def get(self, piece: Piece) -> Done | None:
        """What was measured; None where it was not yet, or of other images, otherwise, or by other code."""
        path = self._path(piece)
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text("utf-8"))
            known = {name: content[name] for name in ("asked", "images", "by")}
            done = Done(content["found"], content["commit"], content["measured"])
        except (ValueError, KeyError, TypeError):
            sys.stderr.write(f"{path} is no piece of these figures: it is measured anew\n")
            return None
        asked = self._asked(piece)
        if self._accept_older:
            known["by"] = asked["by"]
        return done if known == asked else None

    def put(self, piece: Piece, found: dict[str, Any]) -> Done:
        """Keep what a piece found. Raises OSError where that cannot be written."""
        done = Done(found, self._maker.commit, datetime.now(UTC).date().isoformat())
        content = {**self._asked(piece), "commit": done.commit, "measured": done.measured, "found": found}
        self._folder.mkdir(parents=True, exist_ok=True)
        write_durably(self._path(piece), json.dumps(content, indent=1, allow_nan=False).encode())
        return done

    def _asked(self, piece: Piece) -> dict[str, Any]:
        by = {"code": self._maker.code, "packages": self._maker.packages}
        return {"asked": piece.asked, "images": self._images, "by": by}

    def _path(self, piece: Piece) -> Path:
        return self._folder / f"{piece.title}.json"


def digest_of(folder: Path) -> str:
    """A name for the files of a data set, by their names and sizes: another set under the same name is told from it."""
    digest = hashlib.sha256()
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
    return digest.hexdigest()[:12]
