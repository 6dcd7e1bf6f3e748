"""Giving many new files their names as one step that a kill or a power cut can only delay, never halve.

What is new lies complete beside each place. A note beside line.toml then says every rename that is to come, and is
brought to the disk. The first rename takes the old line.toml away, the last one gives the new one its name: in between
there is no line.toml, and so no agent starts on half a line. Whoever finds the note does the rest (``finish``).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import DataError
from edge_agent.files.bounded import read_bounded
from edge_agent.files.strict_json import strict_json
from edge_agent.settings import unfinished_note
from edge_agent.store.fs import FileSystem, write_durably

__all__ = ["Rename", "finish", "switch"]

_SCHEMA_VERSION = 1
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Rename:
    """One step. ``old`` puts away what was there; otherwise something new gets its name."""

    source: Path
    target: Path
    old: bool


def switch(config: Path, steps: list[Rename]) -> None:
    """Do all renames, in their order; the last one is line.toml's. Raises OSError: then ``finish`` goes on."""
    note = unfinished_note(config)
    said = [{"source": str(one.source), "target": str(one.target), "old": one.old} for one in steps]
    write_durably(note, json.dumps({f"renames_{_SCHEMA_VERSION}": said}, indent=1).encode())
    FileSystem().fsync(note.parent)
    finish(config)


def finish(config: Path) -> bool:
    """Do what is left of a switch that was broken off; whether there was one. Raises DataError, OSError."""
    note, fs = unfinished_note(config), FileSystem()
    steps = _noted(note)
    if steps is None:
        return False
    for step in steps:
        # An old file that lies away already: what stands at its place since is the new one.
        if os.path.lexists(step.source) and not (step.old and os.path.lexists(step.target)):
            step.target.parent.mkdir(parents=True, exist_ok=True)
            step.source.rename(step.target)
            fs.fsync(step.target.parent)
    fs.unlink(note)
    fs.fsync(note.parent)
    return True


def _noted(note: Path) -> list[Rename] | None:
    try:
        said = strict_json(read_bounded(note, _MOST_BYTES), most_bytes=_MOST_BYTES)
        renames = said[f"renames_{_SCHEMA_VERSION}"]
        return [Rename(Path(one["source"]), Path(one["target"]), bool(one["old"])) for one in renames]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise DataError(
            f"{note} cannot be read: {err}", hint="use the edge-agent that began the restore; look at the file"
        ) from err
