"""Good images in, reference bundle out: the whole calibration in its order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from calibration.choosing.timing import measured
from calibration.choosing.within_cost import Cost, cost_of
from calibration.collecting.holding import held_target
from calibration.gathered import Gathered, Prepared
from calibration.gathering import gather, look_for_suspects, seen_by, would_more_pay
from calibration.good_parts.images import MIN_IMAGES, images_in
from calibration.limits.defects import Findings, judge_defective
from calibration.limits.disturbance_tolerance import disturbance_tolerance_of
from calibration.limits.limit import choose_limit
from calibration.manifest import manifest_of
from calibration.method import METHODS
from calibration.options import CalibrationOptions, check_belongs, check_options
from calibration.result import CalibrationResult, result_of
from calibration.stages import Progress, StageClock, stage_of, unseen
from calibration.training.crossfit import FOLDS, learn
from calibration.training.parity import backbone_difference, golden_bytes
from calibration.workers import ONE_THREAD
from calibration.writer import check_target, png_bytes, write_bundle
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.bundle.manifest import Section
from edge_agent.inspection.bundle.reference_bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calibration.choosing.within import Sized
    from calibration.registering.registered import RegisteredSet
    from calibration.training.train import Recipe
    from edge_agent.inspection.containers.image_files import FolderOfImages

__all__ = ["calibrate", "finish", "train"]


def calibrate(images: Path, out: Path, options: CalibrationOptions, progress: Progress = unseen) -> CalibrationResult:
    """Make the bundle folder ``out`` from the good images in ``images``. Nothing is written unless all went well.

    ``progress(stage, done, total)`` is called from this thread. Raises PartsInDoubt where a person has to look at some
    images first, CalibrationRefused, UsageError, Unavailable, and AlreadyRunning where another one writes ``out``.
    """
    check_options(options)
    check_belongs(options)
    check_target(out, overwrite=options.overwrite)
    found = images_in(images)
    _check_enough(found)
    with held_target(out):
        check_target(out, overwrite=options.overwrite)  # another one may just have been written
        gathered = gather(found.images, options, progress)
        gathered = replace(gathered, notes=(*found.notes, *gathered.notes))
        gathered, suspicion = look_for_suspects(gathered, progress)
        suspicion.check()
        gathered = would_more_pay(gathered, progress)
        method = METHODS[options.method]
        prepared = train(gathered, method.recipe, progress, folds=method.folds(options.voices))
        is_views = options.method == "views"
        return finish(prepared, options.method, out, progress, tries_light=is_views, is_timed=True)


def train(gathered: Gathered, recipe: Recipe, progress: Progress = unseen, *, folds: int = FOLDS) -> Prepared:
    """Train on what was gathered: the long part, the same for every method with this recipe."""
    clock = StageClock()
    learned = learn(
        gathered.registered.working(stage_of(progress, "crop"), workers=gathered.options.workers),
        gathered.registered.grid,
        recipe,
        seed=gathered.options.seed,
        threads=gathered.options.threads,
        progress=stage_of(progress, "train"),
        folds=folds,
        hired=gathered.options.hired,
    )
    clock.end("train")
    return Prepared(gathered, learned, clock.timings_s["train"])


def finish(
    prepared: Prepared,
    method: str,
    out: Path,
    progress: Progress = unseen,
    *,
    tries_light: bool = False,
    is_timed: bool = False,
) -> CalibrationResult:
    """Score by ``method``, set the limit and write the bundle folder ``out``; ``method`` overrules the options'.

    With ``tries_light`` it is found out what light and lens may do to a good part's score, by views alone; where it
    ``is_timed``, how long an inspection takes, and what it costs to be that quick. Raises CalibrationRefused where
    nothing can be written, or the bundle is slower than was asked for, UsageError for a method that there is none of.
    """
    gathered, learned = prepared.gathered, prepared.learned
    options = replace(gathered.options, method=method)
    check_options(options)
    registered = seen_by(gathered.registered, METHODS[method], options.voices)
    check_target(out, overwrite=options.overwrite)
    clock = StageClock({**gathered.timings_s, "train": prepared.train_s})
    scored = METHODS[method].score(
        registered,
        learned,
        backbone=options.backbone,
        channels=options.channels,
        voices=options.voices,
        threads=options.threads,
        progress=stage_of(progress, "embed"),
        seen_before=gathered.seen,
        workers=options.workers,
    )
    clock.end("embed")
    limit = choose_limit(scored.scores, options.limit, by_tail=METHODS[method].limit_by_tail)
    files = {
        "reference.png": png_bytes(registered.reference_pixels),
        "cpcae.onnx": learned.full,
        **scored.files,
    }
    files["shown.png"] = png_bytes(registered.dark.shown)
    if registered.part_region is not None:
        files["part.png"] = png_bytes(registered.part_region)
    if registered.mask is not None:
        files["mask.png"] = png_bytes(registered.mask)
    manifest = manifest_of(options, prepared, limit, scored)
    manifest["parity"] = {"cpcae": learned.parity} | {
        name.removesuffix(".onnx"): backbone_difference(options.backbone, data, registered)
        for name, data in scored.files.items()
        if name.endswith(".onnx")
    }
    files["golden.npz"] = golden_bytes(files, manifest)
    findings = None
    if gathered.defective:
        watch = stage_of(progress, "judge defective")
        defects = judge_defective(
            (files, manifest),
            gathered.defective,
            # One of them here takes all threads: a second one would hold the bundle's memory a second time.
            threads=1 if options.hired else options.threads,
            progress=watch,
            workers=options.hired or ONE_THREAD,
        )
        findings = Findings(defects, limit, scored.scores, had_a_say=any(answer.figures for answer in gathered.answers))
        manifest["defective"] = findings.to_json()
    clock.end("limit")
    tolerance = None
    if tries_light:
        tolerance = disturbance_tolerance_of(
            Bundle.of(out, Section({**manifest, "id": ""}, "manifest"), files),
            registered,
            scored.scores,
            threads=options.threads,
            progress=stage_of(progress, "light and lens"),
            workers=options.workers,
        )
        clock.end("light and lens")
    promise, cost = None, None
    if is_timed:
        bundle = Bundle.of(out, Section({**manifest, "id": ""}, "manifest"), files)
        promise = measured(bundle, registered.images, gathered.sized, threads=options.threads)
        cost = _cost(registered, gathered.sized, options, stage_of(progress, "time"))
        if promise.within_ms is not None:  # else the same images would not give the same bundle
            manifest["time"] = promise.to_json() | ({} if cost is None else {"cost": cost.to_json()})
        clock.end("time", adds=True)
    bundle_id = write_bundle(out, files, manifest)
    result = result_of((bundle_id, out), registered, learned, limit, scored, timings_s=clock.timings_s)
    notes = (*gathered.notes, *result.notes)
    return replace(
        result,
        left_out=gathered.left_out,
        kept=gathered.kept,
        findings=findings,
        notes=notes,
        answers=gathered.answers,
        suspicion=gathered.suspicion,
        parts_curve=gathered.parts_curve,
        tolerance=tolerance,
        time=promise,
        cost=cost,
        warnings=(*result.warnings, *([gathered.sized.warning] if gathered.sized and gathered.sized.warning else ())),
    )


def _cost(
    registered: RegisteredSet, sized: Sized | None, options: CalibrationOptions, progress: Callable[[int, int], None]
) -> Cost | None:
    """What a smaller size than the largest costs, where a person asked for a time; None: nothing, or nobody asked."""
    if sized is None or not sized.wish.is_asked or sized.chosen.native == sized.largest.native:
        return None
    return cost_of(
        registered,
        sized,
        backbone=options.backbone,
        seed=options.seed,
        workers=options.workers,
        progress=progress,
    )


def _check_enough(found: FolderOfImages) -> None:
    """Raise CalibrationRefused for too few images, with what else lies in their folder."""
    if len(found.images) < MIN_IMAGES:
        what = f"{len(found.images)} good images are too few: at least {MIN_IMAGES} different parts are needed"
        if not found.images:
            what += f", and {found.folder} holds no images{found.why_none}"
        raise CalibrationRefused(
            "; ".join([what, *found.notes]),
            hint=found.hint_none
            if found.foreign or found.folders
            else "collect 30 to 60 images (PNG, BMP or JPEG) of good parts in one folder",
        )
