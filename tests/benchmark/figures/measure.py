"""A piece measured: from the images of one data set to numbers that JSON can hold."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.evaluation.dataset import DataSet, read_dataset
from calibration.evaluation.options import EvaluationOptions
from calibration.evaluation.run import one_trial
from tests.benchmark.figures.seen import SeenParts, see

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmark.figures.plan import Piece

    Progress = Callable[[str, int, int], None]

__all__ = ["Subject"]


class Subject:
    """One data set: read, and seen by the network, when a piece first needs it, and then kept. Close it in the end."""

    def __init__(self, folder: Path, *, threads: int, progress: Progress) -> None:
        self._folder, self._threads, self._progress = folder, threads, progress
        self._spare = TemporaryDirectory(prefix="edge-agent-figures-")

    def close(self) -> None:
        """Remove the pictures that were laid into another frame."""
        self._spare.cleanup()

    @cached_property
    def _data(self) -> DataSet:
        return read_dataset(
            self._folder, lambda done, total: self._progress("check", done, total), Path(self._spare.name)
        )

    @cached_property
    def _seen(self) -> SeenParts:
        return see(self._data, threads=self._threads, progress=self._progress)

    def measure(self, piece: Piece) -> dict[str, Any]:
        """What the piece finds. Raises what an evaluation or a calibration does."""
        ways: dict[str, Callable[..., dict[str, Any]]] = {
            "whole": self._whole,
            "draws": self._draw,
            "promise": self._promise,
            "drift": self._drift,
            "suspects": self._suspects,
        }
        return ways[piece.table](**piece.asked)

    def _whole(self, *, methods: list[str], seed: int) -> dict[str, Any]:
        return self._trial(EvaluationOptions(tuple(methods), threads=self._threads), draw=0, seed=seed)

    def _draw(self, *, methods: list[str], images: int, draw: int) -> dict[str, Any]:
        options = EvaluationOptions(tuple(methods), train_images=images, threads=self._threads)
        return self._trial(options, draw=draw, seed=0)

    def _drift(self, *, images: int) -> dict[str, Any]:
        return self._trial(
            EvaluationOptions(("views",), train_images=images, threads=self._threads, with_drift=True), draw=0, seed=0
        )

    def _trial(self, options: EvaluationOptions, *, draw: int, seed: int) -> dict[str, Any]:
        """By evaluate's own code."""
        data = self._data
        if options.train_images is not None:
            data.check_count(options.train_images)
        trials, _ = one_trial(data, options, draw, seed, self._progress)
        return {
            "available": len(data.train),
            "good": int((~data.defective).sum()),
            "defective": int(data.defective.sum()),
            "chance_ap": data.chance_ap,
            "methods": {name: trial.to_json(with_scores=False) for name, trial in trials.items()},
        }

    def _promise(self, *, images: int, draw: int) -> dict[str, Any]:
        """Of the good parts that a draw does not hold, from training and test, those rejected by their score."""
        seen = self._seen
        self._data.check_count(images)
        drawn = np.random.default_rng((1, draw)).permutation(seen.learn)[:images]
        unseen = [part for part in range(seen.good) if part not in drawn]
        found = seen.calibrated(sorted(int(part) for part in drawn), unseen)
        return {
            "good": seen.good,
            "unseen": len(unseen),
            "rejected": int((found.scores >= found.limit.value).sum()),
            "promised_below": found.limit.bound_95,
        }

    def _suspects(self, *, images: int, defective: int, draw: int) -> dict[str, Any]:
        """What a calibration names of good training images and defective ones that were put among them."""
        seen = self._seen
        self._data.check_count(images)
        rng = np.random.default_rng((2, defective, draw))
        good = rng.permutation(seen.learn)[:images]
        put = seen.good + rng.permutation(seen.count - seen.good)[:defective]
        found = seen.suspected([int(part) for part in np.sort(np.concatenate([good, put]))])
        return {
            "put": len(put),
            "named_defective": sum(part >= seen.good for part in found.named),
            "named_good": sum(part < seen.good for part in found.named),
            "among_oddest": sum(part >= seen.good for part in found.oddest),
        }
