"""Good images to registered good parts: read, laid on each other, sized, and looked at for parts that stand apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from calibration.choosing.calm_plane import settle_plane
from calibration.choosing.learning_curve import parts_curve
from calibration.choosing.placing import Placed, place_all
from calibration.choosing.rehearsal import Rehearsal
from calibration.choosing.sizing import settle_size, size_for
from calibration.choosing.timing import inspection_ms
from calibration.choosing.within import Sized, TimeWish, choose
from calibration.gathered import Gathered
from calibration.good_parts.images import image_notes, images_in, read_good_images
from calibration.good_parts.known import KnownImage, check_left_out, confirmed, leave_out, read_defective
from calibration.limits.limit import plan_ranks
from calibration.method import METHODS, Method
from calibration.options import CalibrationOptions, check_options
from calibration.registering.registered import RegisteredSet, register_all
from calibration.scoring.places import check_channels
from calibration.scoring.view_scoring import DEFAULT_VOICES
from calibration.stages import Progress, StageClock, stage_of, unseen
from calibration.suspects.oddity import see
from calibration.suspects.stand_apart import find_suspects
from edge_agent.inspection.networks.channels import Voice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from calibration.good_parts.images import GoodImage
    from calibration.suspects.stand_apart import Suspicion

__all__ = ["gather", "look_for_suspects", "place", "register", "seen_by", "would_more_pay"]


def gather(images: Sequence[Path], options: CalibrationOptions, progress: Progress = unseen) -> Gathered:
    """Read and register these good images. Raises CalibrationRefused, UsageError, Unavailable."""
    check_options(options)
    clock = StageClock()
    kept, left_out = leave_out(images, options.leave_out)
    good = read_good_images(kept, stage_of(progress, "read"))
    check_left_out(left_out, good)
    known_good = confirmed(good, options.keep)
    plan_ranks(len(good), options.limit)
    defective = read_defective(options.defective, good) if options.defective else ()
    notes = (*(images_in(options.defective).notes if options.defective else ()), *image_notes(good))
    clock.end("read")
    placed = place(good, options, progress, defective)
    registered = seen_by(placed.registered, METHODS[options.method], options.voices)
    check_channels(options.channels, registered.crop)
    sized = None
    if options.within is None or options.method != "views" or Voice.AUTOENCODER in options.voices:
        registered = settle_size(registered, options.pixels)
        clock.end("register")
    else:
        clock.end("register")
        registered, sized = _sized(registered, options, options.within)
        clock.end("time")
        notes = (*notes, sized.note)
    timings_s = clock.timings_s
    return Gathered(registered, options, timings_s, placed.answers, left_out, known_good, defective, notes, sized=sized)


def _sized(registered: RegisteredSet, options: CalibrationOptions, wish: TimeWish) -> tuple[RegisteredSet, Sized]:
    """The set at the size at which an inspection is done in time. Raises CalibrationRefused where there is none."""
    _, _, width, height = registered.crop
    sized = choose(
        wish,
        lambda pixels: size_for(height, width, pixels, registered.part, registered.asked),
        lambda native: inspection_ms(
            replace(registered, native=native),
            backbone=options.backbone,
            voices=options.voices,
            threads=options.threads,
        ),
    )
    return replace(registered, native=sized.chosen.native), sized


def look_for_suspects(gathered: Gathered, progress: Progress = unseen) -> tuple[Gathered, Suspicion]:
    """Which of the images stand apart, before anything is learned from them; of what was gathered the notes name them.

    Raises UsageError where a person's mask leaves no place.
    """
    clock, options = StageClock(dict(gathered.timings_s)), gathered.options
    registered, watch = gathered.registered, stage_of(progress, "compare")
    parts = len(registered.images)
    seen = see(
        registered, options.backbone, workers=options.workers, progress=lambda done, total: watch(done, 2 * total)
    )
    suspicion = find_suspects(
        registered,
        seen,
        options.keep,
        workers=options.workers,
        progress=lambda done: watch(parts + done // len(seen.features), 2 * parts),
    )
    clock.end("compare")
    notes = (*gathered.notes, *suspicion.notes)
    found = replace(gathered, notes=notes, timings_s=clock.timings_s, suspicion=suspicion, seen=seen)
    return found, suspicion


def would_more_pay(gathered: Gathered, progress: Progress = unseen) -> Gathered:
    """Find out whether collecting more good parts would pay. Only the mean of views is asked."""
    clock, options = StageClock(dict(gathered.timings_s)), gathered.options
    if options.method != "views":
        return gathered
    curve = parts_curve(
        gathered.registered,
        options.backbone.overview_onnx(),
        seed=options.seed,
        progress=stage_of(progress, "learning curve"),
        workers=options.workers,
    )
    clock.end("learning curve")
    return replace(gathered, timings_s=clock.timings_s, parts_curve=curve)


def place(
    good: Sequence[GoodImage],
    options: CalibrationOptions,
    progress: Progress = unseen,
    defective: Sequence[KnownImage] = (),
) -> Placed:
    """Register these good images as the options say or as serves them. Raises CalibrationRefused, UsageError.

    Only the mean of views knows another way than the default's: other methods ask nothing. Known ``defective`` parts
    take part in the answer.
    """
    if options.method != "views":
        return Placed(register(good, options, progress), ())
    placed = place_all(
        good,
        options.search,
        options.crop,
        stage_of(progress, "register"),
        place=options.place,
        workers=options.workers,
        rehearse=lambda: Rehearsal(
            good, options.backbone.overview_onnx(), seed=options.seed, known=defective, workers=options.workers
        ),
    )
    voices = options.voices or DEFAULT_VOICES
    registered, answers = settle_plane(
        placed.registered, options.plane, voices, stage_of(progress, "register"), workers=options.workers
    )
    return Placed(registered, (*placed.answers, *answers))


def register(good: Sequence[GoodImage], options: CalibrationOptions, progress: Progress = unseen) -> RegisteredSet:
    """Register these good images as the options say. Raises CalibrationRefused, UsageError."""
    return register_all(good, options.search, options.crop, stage_of(progress, "register"), workers=options.workers)


def seen_by(registered: RegisteredSet, method: Method, voices: Sequence[Voice]) -> RegisteredSet:
    """What this score looks at: every pixel of the crop, where the autoencoder's map of them is part of it."""
    return replace(registered, sees_all=method.hears_autoencoder or Voice.AUTOENCODER in voices)
