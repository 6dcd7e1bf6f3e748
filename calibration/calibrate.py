"""Good images in, reference bundle out: the whole calibration in its order."""

from __future__ import annotations

import os
import time
import unicodedata
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.backbones.efficientnet_lite0 import EfficientNetLite0
from calibration.choosing.calm_plane import settle_plane
from calibration.choosing.learning_curve import PartsCurve, parts_curve
from calibration.choosing.placing import Placed, place_all
from calibration.choosing.rehearsal import Rehearsal
from calibration.choosing.sizing import settle_size, size_for
from calibration.choosing.timing import inspection_ms, measured
from calibration.choosing.within import Sized, TimeWish, choose
from calibration.choosing.within_cost import Cost, cost_of
from calibration.collecting.holding import held_target
from calibration.good_parts.images import MIN_IMAGES, image_notes, images_in, read_good_images
from calibration.good_parts.known import KnownImage, check_left_out, confirmed, leave_out, read_defective
from calibration.limits.bearing import Bearing, bearing_of
from calibration.limits.defects import Findings, judge_defective
from calibration.limits.limit import Limit, LimitWishes, choose_limit, plan_ranks
from calibration.registering.registered import RegisteredSet, register_all
from calibration.registering.search import SearchWishes
from calibration.scoring.places import check_channels, score_locally, score_pooled
from calibration.scoring.view_scoring import DEFAULT_VOICES, score_by_views
from calibration.suspects.contamination import far_out
from calibration.suspects.oddity import see
from calibration.suspects.stand_apart import find_suspects
from calibration.training.corruption import Corruption
from calibration.training.crossfit import FOLDS, Learned, learn
from calibration.training.parity import backbone_difference, golden_bytes
from calibration.training.train import CurvePoint, Recipe
from calibration.writer import check_target, png_bytes, write_bundle
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.bundle.manifest import SCHEMA_VERSION, Section
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.networks.view import NATIVE_PIXELS, Voice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.choosing.questions import Answer
    from calibration.good_parts.images import GoodImage
    from calibration.registering.reference import Box
    from calibration.scoring.scored import Scored
    from calibration.scoring.seen import Seen
    from calibration.suspects.stand_apart import Suspicion
    from edge_agent.inspection.bundle.promise import Promise
    from edge_agent.inspection.containers.image_files import FolderOfImages
    from edge_agent.inspection.networks.channels import Channel

    Progress = Callable[[str, int, int], None]

__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "CalibrationOptions",
    "CalibrationResult",
    "Gathered",
    "Method",
    "Prepared",
    "RegistrationRow",
    "calibrate",
    "finish",
    "gather",
    "look_for_suspects",
    "package_versions",
    "register",
    "train",
    "would_more_pay",
]


@dataclass(frozen=True, slots=True)
class Method:
    """A score definition: how its autoencoder is trained, how what that makes of a part becomes a score, and a limit.

    ``limit_by_tail``: where a person asks for no rate, a model of the largest scores sets the limit, not one of them.
    ``hears_autoencoder``: what it repairs is part of the score, also where nobody asks for its voice.
    """

    recipe: Recipe
    score: Callable[..., Scored]
    limit_by_tail: bool = False
    hears_autoencoder: bool = True

    def folds(self, voices: Sequence[Voice]) -> int:
        """How many autoencoders leave images out: every image has to be unseen where the score takes what they say."""
        return FOLDS if self.hears_autoencoder or Voice.AUTOENCODER in voices else 1


DEFAULT_METHOD = "views"
METHODS = {
    "local": Method(Recipe(corruption=Corruption()), score_locally),
    "views": Method(Recipe(corruption=Corruption()), score_by_views, limit_by_tail=True, hears_autoencoder=False),
    "paper": Method(Recipe(), score_pooled),
}
"""The paper trains on patches as they are; 0029 says what it brings to corrupt them."""
_PACKAGES = ("edge-agent", "numpy", "onnx", "onnxruntime", "opencv-python-headless", "torch")


def _unseen(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """What a person may choose. ``crop`` is "auto", "full" or (x, y, width, height) in px of the reference image.

    ``channels`` are those of the local score that fit the crop, none: all that do. ``voices`` are those that count in
    the mean of views, none: the image's. ``place`` is "auto", "tied" to the place or "free" of it, ``plane`` "auto" or
    the colour that the filtered view looks at. ``leave_out`` are file names of parts that a person found not
    good, ``keep`` of parts that stand apart and are good; ``defective`` is a folder of defective parts; ``pixels`` of
    a part at full size are shown to the network, at most: as many as an inspection can be done with ``within`` a time,
    where there is one.
    """

    part: str = "part"
    program: int = 0
    camera: int = 1
    seed: int = 0
    crop: str | Box = "auto"
    search: SearchWishes = field(default_factory=SearchWishes)
    method: str = DEFAULT_METHOD
    backbone: Backbone = DEFAULT_BACKBONE
    channels: tuple[Channel, ...] = ()
    voices: tuple[Voice, ...] = ()
    place: str = "auto"
    plane: str = "auto"
    limit: LimitWishes = field(default_factory=LimitWishes)
    leave_out: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    defective: Path | None = None
    pixels: int = NATIVE_PIXELS
    within: TimeWish | None = None
    threads: int = 2
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class RegistrationRow:
    """Where one good image lies against the reference."""

    name: str
    shift_x_px: float
    shift_y_px: float
    angle_deg: float
    quality: float


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """What came out. ``scores`` are leave-one-out scores by file name, the oddest part first.

    ``registration`` is empty where it is off. ``choice`` is the limit with all it promises; ``findings`` is None
    where no defective parts were shown. Errors and ``own_variance`` are mean squares over pixels in [0, 1];
    ``timings_s`` seconds by stage. ``odd_part`` names the good part whose score is too far above the others' to have a
    say in the limit, and says what to do; empty where there is none. ``answers`` say why parts are compared as they
    are; ``suspicion`` how odd each part is among the others, ``parts_curve`` whether more parts would pay, ``bearing``
    what light and lens may do to a good part's score; None: nobody looked. ``time`` is what an inspection took here,
    ``cost`` what a size chosen for its time costs in detection. ``warnings`` are what must not be
    overlooked, with what to do.
    """

    bundle_id: str
    path: Path
    images: int
    limit: float
    scores: tuple[tuple[str, float], ...]
    statement: str
    expected_false_rejects: float
    false_reject_bound_95: float
    registration: tuple[RegistrationRow, ...]
    quality_min: float
    notes: tuple[str, ...]
    curve: tuple[CurvePoint, ...]
    heldout_error: float
    mean_image_error: float
    own_variance: float
    reference: str
    crop: Box
    choice: Limit
    left_out: tuple[KnownImage, ...] = ()
    kept: tuple[KnownImage, ...] = ()
    findings: Findings | None = None
    timings_s: dict[str, float] = field(default_factory=dict)
    odd_part: str = ""
    answers: tuple[Answer, ...] = ()
    suspicion: Suspicion | None = None
    parts_curve: PartsCurve | None = None
    bearing: Bearing | None = None
    time: Promise | None = None
    cost: Cost | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Registered good images, and what else a person showed: the same for every method.

    ``notes`` say what was passed over, and what is odd about the files; ``answers`` why parts are compared as they are;
    ``suspicion`` which of them stand apart, ``parts_curve`` whether more of them would pay, ``seen`` what the network
    saw of them; None: nobody looked. ``sized`` is at which size the parts are looked at to be done in time; None: no
    time is given.
    """

    registered: RegisteredSet
    options: CalibrationOptions
    timings_s: Mapping[str, float]
    answers: tuple[Answer, ...] = ()
    left_out: tuple[KnownImage, ...] = ()
    kept: tuple[KnownImage, ...] = ()
    defective: tuple[KnownImage, ...] = ()
    notes: tuple[str, ...] = ()
    suspicion: Suspicion | None = None
    parts_curve: PartsCurve | None = None
    seen: Seen | None = None
    sized: Sized | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Registered good images, and the networks that learned them by one recipe."""

    gathered: Gathered
    learned: Learned
    train_s: float


def calibrate(images: Path, out: Path, options: CalibrationOptions, progress: Progress = _unseen) -> CalibrationResult:
    """Make the bundle folder ``out`` from the good images in ``images``. Nothing is written unless all went well.

    ``progress(stage, done, total)`` is called from this thread. Raises PartsInDoubt where a person has to look at some
    images first, CalibrationRefused, UsageError, Unavailable, and AlreadyRunning where another one writes ``out``.
    """
    _check_options(options)
    _check_belongs(options)
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


def gather(images: Sequence[Path], options: CalibrationOptions, progress: Progress = _unseen) -> Gathered:
    """Read and register these good images. Raises CalibrationRefused, UsageError, Unavailable."""
    _check_options(options)
    clock = _Clock()
    kept, left_out = leave_out(images, options.leave_out)
    good = read_good_images(kept, _stage(progress, "read"))
    check_left_out(left_out, good)
    known_good = confirmed(good, options.keep)
    plan_ranks(len(good), options.limit)
    defective = read_defective(options.defective, good) if options.defective else ()
    notes = (*(images_in(options.defective).notes if options.defective else ()), *image_notes(good))
    clock.end("read")
    placed = place(good, options, progress, defective)
    registered = _seen_by(placed.registered, METHODS[options.method], options.voices)
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


def look_for_suspects(gathered: Gathered, progress: Progress = _unseen) -> tuple[Gathered, Suspicion]:
    """Which of the images stand apart, before anything is learned from them; of what was gathered the notes name them.

    Raises UsageError where a person's mask leaves no place.
    """
    clock, options = _Clock(dict(gathered.timings_s)), gathered.options
    registered, watch = gathered.registered, _stage(progress, "compare")
    parts, threads = len(registered.images), options.threads
    seen = see(registered, options.backbone, threads=threads, progress=lambda done, total: watch(done, 2 * total))
    suspicion = find_suspects(
        registered,
        seen,
        options.keep,
        threads=threads,
        progress=lambda done: watch(parts + done // len(seen.features), 2 * parts),
    )
    clock.end("compare")
    notes = (*gathered.notes, *suspicion.notes)
    found = replace(gathered, notes=notes, timings_s=clock.timings_s, suspicion=suspicion, seen=seen)
    return found, suspicion


def would_more_pay(gathered: Gathered, progress: Progress = _unseen) -> Gathered:
    """Find out whether collecting more good parts would pay. Only the mean of views is asked."""
    clock, options = _Clock(dict(gathered.timings_s)), gathered.options
    if options.method != "views":
        return gathered
    curve = parts_curve(
        gathered.registered,
        options.backbone.overview_onnx(),
        seed=options.seed,
        threads=options.threads,
        progress=_stage(progress, "learning curve"),
    )
    clock.end("learning curve")
    return replace(gathered, timings_s=clock.timings_s, parts_curve=curve)


def place(
    good: Sequence[GoodImage],
    options: CalibrationOptions,
    progress: Progress = _unseen,
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
        _stage(progress, "register"),
        place=options.place,
        threads=options.threads,
        rehearse=lambda: Rehearsal(
            good, options.backbone.overview_onnx(), seed=options.seed, threads=options.threads, known=defective
        ),
    )
    voices = options.voices or DEFAULT_VOICES
    registered, answers = settle_plane(
        placed.registered, options.plane, voices, _stage(progress, "register"), threads=options.threads
    )
    return Placed(registered, (*placed.answers, *answers))


def train(gathered: Gathered, recipe: Recipe, progress: Progress = _unseen, *, folds: int = FOLDS) -> Prepared:
    """Train on what was gathered: the long part, the same for every method with this recipe."""
    clock = _Clock()
    learned = learn(
        gathered.registered.working(_stage(progress, "crop"), threads=gathered.options.threads),
        gathered.registered.grid,
        recipe,
        seed=gathered.options.seed,
        threads=gathered.options.threads,
        progress=_stage(progress, "train"),
        folds=folds,
    )
    clock.end("train")
    return Prepared(gathered, learned, clock.timings_s["train"])


def register(good: Sequence[GoodImage], options: CalibrationOptions, progress: Progress = _unseen) -> RegisteredSet:
    """Register these good images as the options say. Raises CalibrationRefused, UsageError."""
    return register_all(good, options.search, options.crop, _stage(progress, "register"), threads=options.threads)


def finish(
    prepared: Prepared,
    method: str,
    out: Path,
    progress: Progress = _unseen,
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
    _check_options(options)
    registered = _seen_by(gathered.registered, METHODS[method], options.voices)
    check_target(out, overwrite=options.overwrite)
    clock = _Clock({**gathered.timings_s, "train": prepared.train_s})
    scored = METHODS[method].score(
        registered,
        learned,
        backbone=options.backbone,
        channels=options.channels,
        voices=options.voices,
        threads=options.threads,
        progress=_stage(progress, "embed"),
        seen_before=gathered.seen,
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
    manifest = _manifest(options, prepared, limit, scored)
    manifest["parity"] = {"cpcae": learned.parity} | {
        name.removesuffix(".onnx"): backbone_difference(options.backbone, data, registered)
        for name, data in scored.files.items()
        if name.endswith(".onnx")
    }
    files["golden.npz"] = golden_bytes(files, manifest)
    findings = None
    if gathered.defective:
        watch = _stage(progress, "judge defective")
        defects = judge_defective((files, manifest), gathered.defective, threads=options.threads, progress=watch)
        findings = Findings(defects, limit, scored.scores, had_a_say=any(answer.figures for answer in gathered.answers))
        manifest["defective"] = findings.to_json()
    clock.end("limit")
    bearing = None
    if tries_light:
        bearing = bearing_of(
            Bundle.of(out, Section({**manifest, "id": ""}, "manifest"), files),
            registered,
            scored.scores,
            threads=options.threads,
            progress=_stage(progress, "light and lens"),
        )
        clock.end("light and lens")
    promise, cost = None, None
    if is_timed:
        bundle = Bundle.of(out, Section({**manifest, "id": ""}, "manifest"), files)
        promise = measured(bundle, registered.images, gathered.sized, threads=options.threads)
        cost = _cost(registered, gathered.sized, options, _stage(progress, "time"))
        if promise.within_ms is not None:  # else the same images would not give the same bundle
            manifest["time"] = promise.to_json() | ({} if cost is None else {"cost": cost.to_json()})
        clock.end("time", adds=True)
    bundle_id = write_bundle(out, files, manifest)
    result = _result((bundle_id, out), registered, learned, limit, scored, timings_s=clock.timings_s)
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
        bearing=bearing,
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
        threads=options.threads,
        progress=progress,
    )


def _seen_by(registered: RegisteredSet, method: Method, voices: Sequence[Voice]) -> RegisteredSet:
    """What this score looks at: every pixel of the crop, where the autoencoder's map of them is part of it."""
    return replace(registered, sees_all=method.hears_autoencoder or Voice.AUTOENCODER in voices)


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


def _check_options(options: CalibrationOptions) -> None:
    if options.method not in METHODS:
        raise UsageError(f"no method {options.method!r}", hint=f"methods: {', '.join(METHODS)}")
    if isinstance(options.crop, str) and options.crop not in {"auto", "full"}:
        raise UsageError(f"no crop {options.crop!r}", hint="auto, full, or x,y,width,height in px")
    if both := sorted({*options.keep} & {*options.leave_out}):
        raise UsageError(f"{both[0]} is both to keep and to leave out", hint="decide whether that part is good")
    if not options.part or options.threads < 1 or not 0 <= options.program <= 999 or not 1 <= options.camera <= 4:
        raise UsageError("part must not be empty, threads at least 1, program 0 to 999, camera 1 to 4")


def _check_belongs(options: CalibrationOptions) -> None:
    """Raise UsageError for a wish that the method has no ear for."""
    if options.channels and options.method != "local":
        raise UsageError(
            f"method {options.method} has no channels to choose", hint="leave --channels out, or add --method local"
        )
    if options.voices and options.method != "views":
        raise UsageError(
            f"method {options.method} has no voices to choose", hint="leave --voices out, or add --method views"
        )
    if (
        isinstance(options.backbone, EfficientNetLite0)
        and not options.backbone.is_default
        and options.method != "paper"
    ):
        raise UsageError(
            f"method {options.method} looks where it looks", hint="leave --backbone-taps out, or add --method paper"
        )
    if options.within is not None and options.within.is_asked and options.method != "views":
        raise UsageError(
            f"method {options.method} knows one size only", hint="leave --within out, or add --method views"
        )
    if options.within is not None and options.within.is_asked and Voice.AUTOENCODER in options.voices:
        raise UsageError(
            "what the autoencoder takes is not known before it is trained",
            hint="leave --within out, or the autoencoder out of --voices",
        )
    if options.place != "auto" and options.method != "views":
        raise UsageError(f"method {options.method} is always tied to the place", hint="leave --place out")
    if options.plane != "auto" and options.method != "views":
        raise UsageError(f"method {options.method} always looks at all colours", hint="leave --plane out")


def _manifest(options: CalibrationOptions, prepared: Prepared, limit: Limit, scored: Scored) -> dict[str, Any]:
    registered, learned = prepared.gathered.registered, prepared.learned
    height, width = registered.reference_pixels.shape[:2]
    grid = registered.grid
    return {
        "schema_version": SCHEMA_VERSION,
        "part": options.part,
        "program": options.program,
        "camera": options.camera,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": package_versions(),
        "seed": options.seed,
        "image": {
            "height": height,
            "width": width,
            "channels": registered.channels,
            "zero_tail_rows": max(image.zero_tail.rows for image in registered.images),
            "stray_share": registered.dark.stray_share,
        },
        "reference_image": _name(registered.images[registered.reference].path),
        "training_images": [
            {"name": _name(image.path), "sha256": image.sha256, "heldout_score": float(score)}
            for image, score in zip(registered.images, scored.scores, strict=True)
        ],
        "left_out_images": [{"name": _name(i.path), "sha256": i.sha256} for i in prepared.gathered.left_out],
        "kept_images": [{"name": _name(i.path), "sha256": i.sha256} for i in prepared.gathered.kept],
        "registration": asdict(registered.registration.settings),
        "questions": {answer.question.name: answer.to_json() for answer in prepared.gathered.answers},
        **_when_judged(registered, scored),
        "crop": list(registered.crop),
        "patches": {
            "working_height": grid.height,
            "working_width": grid.width,
            "patch": grid.patch,
            "stride": grid.stride,
        },
        "method": scored.method,
        "backbone": options.backbone.facts,
        "autoencoder": {
            "heldout_error": learned.heldout_error,
            "mean_image_error": learned.mean_image_error,
            "own_variance": learned.own_variance,
        },
        "limit": limit.to_json(),
    }


def _when_judged(registered: RegisteredSet, scored: Scored) -> dict[str, Any]:
    """The sections on when an image is judged at all: how the part lies, and in which light, where that is measured."""
    align = registered.align
    if scored.condition is None:
        return {"align": align}
    pose = registered.pose.without("gain", "offset")  # the condition says the same of the part, in better words
    return {"align": align | {"pose": pose.to_json()}, "condition": scored.condition.to_json()}


def _name(path: Path) -> str:
    """A file's name for people: what is no character in it, or one that a screen obeys, is written out."""
    text = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) == "Cc" else c for c in text)


def _result(
    written: tuple[str, Path],
    registered: RegisteredSet,
    learned: Learned,
    limit: Limit,
    scored: Scored,
    *,
    timings_s: dict[str, float],
) -> CalibrationResult:
    names = [image.path.name for image in registered.images]
    return CalibrationResult(
        bundle_id=written[0],
        path=written[1],
        images=len(names),
        limit=limit.value,
        scores=tuple((names[i], float(scored.scores[i])) for i in np.argsort(-scored.scores, kind="stable")),
        statement=limit.statement,
        expected_false_rejects=limit.expected,
        false_reject_bound_95=limit.bound_95,
        registration=tuple(
            RegistrationRow(name, a.shift_x_px, a.shift_y_px, a.angle_deg, a.quality)
            for name, a in zip(names, registered.alignments, strict=True)
            if not registered.registration.settings.off
        ),
        quality_min=registered.quality_min,
        notes=(*registered.notes, *scored.notes, *_apart(scored.scores, names, limit)),
        warnings=registered.warnings,
        curve=learned.curve,
        heldout_error=learned.heldout_error,
        mean_image_error=learned.mean_image_error,
        own_variance=learned.own_variance,
        reference=names[registered.reference],
        crop=registered.crop,
        choice=limit,
        timings_s=timings_s,
        odd_part=_odd_part(scored.scores, names, limit),
    )


def _apart(scores: NDArray[np.float64], names: Sequence[str], limit: Limit) -> tuple[str, ...]:
    """What a limit by rank does above a score far out, of a part that nobody doubted or a person confirmed."""
    apart = far_out(scores)
    if limit.tail is not None or limit.rank > len(apart):
        return ()
    name = names[apart[limit.rank - 1]]
    return (f"the limit lies above the score of {name}, which is far above the others': defects up to it pass",)


def _odd_part(scores: NDArray[np.float64], names: Sequence[str], limit: Limit) -> str:
    if limit.tail is None or not limit.tail.without_largest:
        return ""
    second, largest = np.sort(scores)[-2:]
    name = names[int(scores.argmax())]
    return (
        f"look at {name}: its score is {largest:.4g}, the next one's {second:.4g}, further out than the others make "
        f"likely. It had no say in the limit, and parts like it will be rejected. If it is not good, calibrate again "
        f"with --leave-out {name}"
    )


def package_versions() -> dict[str, str]:
    """The versions of what a calibration computes with, by the package's name."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _stage(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


@dataclass(slots=True)
class _Clock:
    timings_s: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)

    def end(self, stage: str, *, adds: bool = False) -> None:
        """``adds``: to what the stage took before."""
        now = time.perf_counter()
        self.timings_s[stage] = now - self._since + (self.timings_s.get(stage, 0.0) if adds else 0.0)
        self._since = now
