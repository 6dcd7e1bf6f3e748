"""The reference bundle: everything that judges one part type at one camera, in one folder, proven before use.

Nothing in it is executed and nothing is unpickled. What was hashed is what runs: the files' bytes stay in memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from drivers.base import ImageRefused
from edge_agent.errors import BundleRejected
from edge_agent.files.bounded import read_bounded
from edge_agent.inspection.bundle.bank_file import ChannelBanks, ViewBanks, read_bank
from edge_agent.inspection.bundle.limit_changes import check_last_change
from edge_agent.inspection.bundle.manifest import FILES, OPTIONAL_FILES, read_manifest
from edge_agent.inspection.bundle.registry import bundle_in_use
from edge_agent.inspection.bundle.signature import check_trusted, read_signature
from edge_agent.inspection.containers.decode import MAX_PIXELS, decode
from edge_agent.inspection.networks.channels import Plane, View, hears_autoencoder
from edge_agent.inspection.networks.embedding import Embedder
from edge_agent.inspection.networks.extractor import Extractor
from edge_agent.inspection.networks.onnx_file import check_onnx
from edge_agent.inspection.networks.patches import PatchGrid
from edge_agent.inspection.networks.tone import Tone
from edge_agent.inspection.registration.pose import PoseLimits
from edge_agent.inspection.registration.register import RegistrationSettings
from edge_agent.inspection.registration.seen_area import SeenArea
from edge_agent.inspection.registration.tail import DarkGround
from edge_agent.inspection.scoring.condition import ConditionLimits
from edge_agent.inspection.scoring.judge import Judge, LocalJudge, PooledJudge, ViewsJudge
from edge_agent.inspection.scoring.knn import Bank
from edge_agent.inspection.scoring.nearest import PlaceBank

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge_agent.files.public_key import PublicKey
    from edge_agent.inspection.bundle.manifest import Section
    from edge_agent.inspection.bundle.signature import Signature

__all__ = ["Bundle"]

_MIB = 1 << 20
_MOST_BYTES = {
    "reference.png": 160 * _MIB,  # 40 million pixels in three colours that do not compress
    "mask.png": 64 * _MIB,
    "part.png": 64 * _MIB,
    "shown.png": 64 * _MIB,
    "cpcae.onnx": 256 * _MIB,  # calibration's own has half a MiB
    "backbone.onnx": 512 * _MIB,  # Xception has 84 MiB
    "fine.onnx": 512 * _MIB,
    "bank.npz": 2048 * _MIB,  # a good image takes 1 MiB, with a network of 512 features 2
    "golden.npz": 128 * _MIB,  # one window of features, one working image
}
_MOST_VALUES = 1 << 26
"""Of all patches of an image at once: a quarter of a GiB."""
_REMAKE = "calibrate again, or copy the whole folder again from where it was made"


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A loaded reference bundle.

    ``crop`` is (x, y, width, height) in px of the reference image, and ``native`` the (height, width) at which
    views look at it; ``reference`` uint8 (H, W) or (H, W, 3);
    ``mask`` uint8 (H, W), not 0 where the reference may be trusted, or None: everywhere; ``part_region`` the same for
    where a part's likeness to the reference is taken; ``dark``: where black at the
    end of a file is believed although no good image's file ended in so many rows of it (``zero_tail_rows``);
    ``condition`` is empty where light and focus are not judged; ``manifest`` is the whole file. Scores from
    ``review_from`` up to ``limit`` are to be reviewed.
    ``signature`` fits the bundle; None where it is not signed.
    """

    id: str
    folder: Path
    part: str
    program: int
    camera: int
    created: str
    score: str
    limit: float
    review_from: float
    quality_min: float
    likeness_min: float
    unseen_max: float
    pose: PoseLimits
    condition: ConditionLimits
    zero_tail_rows: int
    dark: DarkGround
    crop: tuple[int, int, int, int]
    native: tuple[int, int]
    grid: PatchGrid
    registration: RegistrationSettings
    reference: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    part_region: NDArray[np.uint8] | None
    bank: Bank | ChannelBanks | ViewBanks
    cpcae_onnx: bytes
    backbone_onnx: bytes
    fine_onnx: bytes | None
    golden_npz: bytes
    manifest: Mapping[str, Any]
    signature: Signature | None = None

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.reference.ndim == 2 else 3

    @property
    def places(self) -> NDArray[np.bool_] | None:
        """Where over the crop the part is (h, w), as coarse as the memory is; None where the memory does not say."""
        if not isinstance(self.bank, dict):
            return None
        return next(self.bank[view].bank.places for view in View if view in self.bank)  # in whatever order they came

    @property
    def seen_area(self) -> SeenArea:
        """What is looked at of a part. Where the autoencoder has a voice its map is of every pixel of the crop."""
        hears_it = not isinstance(self.bank, dict) or hears_autoencoder(self.bank)
        return SeenArea.whole(self.crop) if hears_it else SeenArea(self.crop, *self.native)

    def judge(self, *, threads: int) -> Judge:
        """What judges by this bundle's score definition. Raises ValueError if its files do not fit each other."""
        if isinstance(self.bank, Bank):
            return PooledJudge(Embedder(self.backbone_onnx, threads=threads), self.bank)
        if isinstance(self.bank, dict):
            beside = self.bank.get(View.TONE)
            tone = None if beside is None else Tone(beside.bank.places, isinstance(beside.bank, PlaceBank))
            filtered = self.bank.get(View.FILTERED)
            plane = Plane.ALL if filtered is None else filtered.plane
            extractor = Extractor(
                list(self.bank),
                self.backbone_onnx,
                threads=threads,
                tone=tone,
                plane=plane,
                native=self.native,
                fine=self.fine_onnx,
            )
            extractor = extractor.looking_at({view: bank.bank.looked_at for view, bank in self.bank.items()})
            return ViewsJudge(extractor, self.bank)
        banks, scales = self.bank
        return LocalJudge(Extractor(list(banks), self.backbone_onnx, self.fine_onnx, threads=threads), banks, scales)

    @classmethod
    def load(cls, folder: Path, *, trusted: Iterable[PublicKey] = (), ignores_signature: bool = False) -> Bundle:
        """Read a bundle and prove it: schema, id, every file's sha256, every shape. Raises BundleRejected.

        A registry gives the bundle in use, which must be the one that was activated. Where keys are ``trusted``, one
        of them must have signed it; a signature that does not fit is refused, unless it is about to be replaced.
        """
        folder, activated = bundle_in_use(folder)
        manifest = read_manifest(folder)
        if activated not in (None, manifest.text("id")):
            raise BundleRejected(
                f"{folder} is not the bundle that was activated: its id is {manifest.text('id')}, it was {activated}",
                hint="look at who changed it, then activate one: edge-agent bundle list",
            )
        signature = None
        if not ignores_signature:
            # Before anything else of the bundle is read: who did not sign gets no further.
            signature = read_signature(folder, manifest.text("id"), manifest.text("created"))
            check_trusted(folder, signature, trusted)
        bundle = cls.of(folder, manifest, _proven_files(folder, manifest.section("files")))
        return replace(bundle, signature=signature)

    @classmethod
    def of(cls, folder: Path, manifest: Section, files: Mapping[str, bytes]) -> Bundle:
        """The bundle of a manifest and its files' bytes, every shape proven. Raises BundleRejected."""
        image, align, method = manifest.section("image"), manifest.section("align"), manifest.section("method")
        reference = _reference(files["reference.png"], image)
        limit, review_from = _limit(manifest.section("limit"))
        check_last_change(manifest.content, limit)
        try:
            bundle = cls(
                id=manifest.text("id"),
                folder=folder,
                part=manifest.text("part"),
                program=manifest.integer("program"),
                camera=manifest.integer("camera"),
                created=manifest.text("created"),
                score=method.text("score"),
                limit=limit,
                review_from=review_from,
                quality_min=align.number("quality_min"),
                likeness_min=align.number("likeness_min") if "likeness_min" in align.content else -1.0,
                unseen_max=align.number("unseen_max"),
                pose=PoseLimits.from_json(align.section("pose").content),
                condition=_condition(manifest.content),
                zero_tail_rows=image.integer("zero_tail_rows"),
                dark=_dark(files, image, reference),
                crop=(crop := _crop(manifest, reference)),
                native=_native(method, crop),
                grid=_grid(manifest.section("patches"), image.integer("channels")),
                registration=RegistrationSettings(**manifest.section("registration").content),
                reference=reference,
                mask=_mask(files, "mask.png", reference),
                part_region=_mask(files, "part.png", reference),
                bank=read_bank(files["bank.npz"], method),
                cpcae_onnx=_network("cpcae.onnx", files["cpcae.onnx"]),
                backbone_onnx=_network("backbone.onnx", files["backbone.onnx"]),
                fine_onnx=_network("fine.onnx", files["fine.onnx"]) if "fine.onnx" in files else None,
                golden_npz=files["golden.npz"],
                manifest=manifest.content,
            )
        except (TypeError, ValueError) as err:
            raise BundleRejected(f"{folder}: {err}", hint=_REMAKE) from err
        if bundle.channels == 1 and isinstance(bundle.bank, dict) and View.FILTERED in bundle.bank:
            raise BundleRejected(f"{folder}: a view looks at one plane of grey images", hint=_REMAKE)
        return bundle


def _proven_files(folder: Path, hashes: Section) -> dict[str, bytes]:
    # Exactly these: a file that nobody names would be copied with the bundle, and proven by nobody.
    if set(hashes.content) - OPTIONAL_FILES != set(FILES):
        raise BundleRejected(f"{folder}: files are {sorted(hashes.content)}, expected {sorted(FILES)}", hint=_REMAKE)
    files = {}
    for name in hashes.content:
        try:
            data = read_bounded(folder / name, _MOST_BYTES[name])
        except OSError as err:
            raise BundleRejected(f"{folder / name} cannot be read: {err.strerror or err}", hint=_REMAKE) from err
        except ValueError as err:
            raise BundleRejected(f"{folder / name}: {err}", hint=_REMAKE) from err
        found = hashlib.sha256(data).hexdigest()
        if found != hashes.text(name):
            raise BundleRejected(
                f"{folder / name} was altered: sha256 {found}, the manifest says {hashes.text(name)}", hint=_REMAKE
            )
        files[name] = data
    return files


def _network(name: str, data: bytes) -> bytes:
    try:
        check_onnx(data)
    except ValueError as err:
        raise BundleRejected(f"{name}: {err}", hint=_REMAKE) from err
    return data


def _reference(data: bytes, image: Section) -> NDArray[np.uint8]:
    height, width, channels = image.integer("height"), image.integer("width"), image.integer("channels")
    if height * width > MAX_PIXELS:
        raise BundleRejected(f"an image of {width} x {height} px is larger than any that is decoded", hint=_REMAKE)
    try:
        pixels = decode(data)
    except ImageRefused as err:
        raise BundleRejected(f"reference.png: {err.detail}", hint=_REMAKE) from err
    expected = (height, width) if channels == 1 else (height, width, channels)
    if pixels.shape != expected:
        raise BundleRejected(f"reference.png is {pixels.shape}, the manifest says {expected}", hint=_REMAKE)
    return pixels


def _mask(files: Mapping[str, bytes], name: str, reference: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    if name not in files:
        return None
    try:
        mask = decode(files[name])
    except ImageRefused as err:
        raise BundleRejected(f"{name}: {err.detail}", hint=_REMAKE) from err
    if mask.shape != reference.shape[:2]:
        raise BundleRejected(f"{name} is {mask.shape}, the reference {reference.shape[:2]}", hint=_REMAKE)
    return mask


def _dark(files: Mapping[str, bytes], image: Section, reference: NDArray[np.uint8]) -> DarkGround:
    """Where good parts are black. A bundle of an older version does not say: then its reference image does."""
    shown = _mask(files, "shown.png", reference)
    if shown is None:
        return DarkGround.of(reference)
    return DarkGround(shown, image.number("stray_share"))


def _condition(manifest: Mapping[str, Any]) -> ConditionLimits:
    """What is allowed of light and focus. A bundle of an older version, or of another score, does not say."""
    return ConditionLimits.from_json(manifest.get("condition", {}))


def _limit(section: Section) -> tuple[float, float]:
    value, review_from = section.number("value"), section.number("review_from")
    if value <= 0.0:
        raise BundleRejected(f"the limit is {value}: nothing could be judged by it", hint=_REMAKE)
    # Written so that a NaN is refused, too.
    if not 0.0 < review_from <= value:
        raise BundleRejected(f"the review band from {review_from} does not end at the limit {value}", hint=_REMAKE)
    return value, review_from


def _crop(manifest: Section, reference: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    x, y, width, height = manifest.integers("crop", 4)
    if x < 0 or y < 0 or width < 1 or height < 1 or y + height > reference.shape[0] or x + width > reference.shape[1]:
        raise BundleRejected(f"the crop {(x, y, width, height)} is not inside the reference image", hint=_REMAKE)
    return x, y, width, height


def _native(method: Section, crop: tuple[int, int, int, int]) -> tuple[int, int]:
    """The (height, width) at which views look at the crop."""
    _, _, width, height = crop
    if method.text("score") != "views":
        return height, width
    if "native" not in method.content:
        raise BundleRejected(
            "a bundle of an earlier version: it does not say at which size its views look at the part",
            hint="calibrate again with this version: the good images are all that is needed",
        )
    rows, columns = method.integers("native", 2)
    SeenArea(crop, rows, columns)  # refuses what cannot be
    return rows, columns


def _grid(section: Section, channels: int) -> PatchGrid:
    grid = PatchGrid(
        height=section.integer("working_height"),
        width=section.integer("working_width"),
        patch=section.integer("patch"),
        stride=section.integer("stride"),
    )
    if grid.count * grid.patch * grid.patch * channels > _MOST_VALUES:
        raise ValueError(f"{grid.count} patches of {grid.patch} px are more than an image is worth: a larger stride")
    return grid
