"""What docs/figures.md tells: which data sets, which tables, how many draws, and the pieces in which it is measured."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SETS", "TABLES", "Piece", "Plan"]

SETS = ("bottle", "transistor_400", "pill_half", "screw_half")
TABLES = ("whole", "draws", "promise", "drift", "suspects")


@dataclass(frozen=True, slots=True)
class Piece:
    """What is measured at once and never twice. ``asked`` is all that it hangs on beside the code and the images."""

    table: str
    name: str
    asked: dict[str, object]

    @property
    def title(self) -> str:
        """The piece among those of its data set; a file's name as well."""
        return f"{self.table}-{self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """``seeds`` of the whole sets, ``draws`` of 44 images, ``promise_draws`` of 44 images whose limit is tested.

    ``clean_draws`` of 40 good images, and ``suspect_draws`` with each number of defective ones put among them.
    """

    seeds: int = 3
    draws: int = 5
    promise_draws: int = 40
    clean_draws: int = 30
    suspect_draws: int = 6
    whole_methods: tuple[str, ...] = ("views", "local", "patchcore", "dfm")
    draw_methods: tuple[str, ...] = ("views", "patchcore")
    draw_images: int = 44
    drift_images: int = 60
    suspect_images: int = 40
    suspect_counts: tuple[int, ...] = (1, 2, 3, 5)

    def pieces(self, table: str) -> list[Piece]:
        """The pieces of one data set for a table, in their order."""
        images, whole, drawn = self.draw_images, list(self.whole_methods), list(self.draw_methods)
        asked: dict[str, dict[str, dict[str, object]]] = {
            "whole": {f"seed-{seed}": {"methods": whole, "seed": seed} for seed in range(self.seeds)},
            "draws": {f"{draw}": {"methods": drawn, "images": images, "draw": draw} for draw in range(self.draws)},
            "promise": {f"{draw}": {"images": images, "draw": draw} for draw in range(self.promise_draws)},
            "drift": {"views": {"images": self.drift_images}},
            "suspects": {
                f"{count}-{draw}": {"images": self.suspect_images, "defective": count, "draw": draw}
                for count in (0, *self.suspect_counts)
                for draw in range(self.suspect_draws if count else self.clean_draws)
            },
        }
        return [Piece(table, name, what) for name, what in asked[table].items()]
