"""A replay out of an object storage: a server that speaks S3, credentials from the environment, a folder's bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.tools.replay import replay_folder
from tests.plant import Ran, images_below, results, verdict_bits
from tests.s3_server import s3_server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)


def test_images_of_a_bucket_are_judged_as_those_of_a_folder(tmp_path: Path, thumbnail_bundle: Path) -> None:
    images = images_below(tmp_path / "buckets" / "parts" / "line 1", 20)
    (images / "a" / "notes.txt").write_text("no image")
    address, out, report = "s3://parts/line 1", tmp_path / "out", tmp_path / "report.html"
    options = ("--bundle", str(thumbnail_bundle), "--workers", "1", "--report", str(report))
    with s3_server(tmp_path / "buckets") as environment:
        with Ran(("replay", address, *options, "--out", str(out)), environment=environment) as ran:
            code, told, err = ran.end()
        others = {**environment, "AWS_ACCESS_KEY_ID": "somebody"}
        with Ran(("replay", address, *options, "--out", str(tmp_path / "o2")), environment=others) as ran:
            refused, _, why = ran.end()

    assert code == 0, err
    assert "1 objects that are no PNG, BMP or JPEG" in told
    inspector = Inspector(Bundle.load(thumbnail_bundle), threads=2)
    inspector.warm_up()
    here = replay_folder(images, {(1, 1): inspector}, None, lambda *_: None)
    assert [verdict_bits(image) for image in results(out)] == [verdict_bits(image) for image in here.images]
    assert "0004.bmp" in report.read_text(), "a picture of a part above the limit"
    assert refused == 74
    assert "ACCESS_DENIED" in why or "AccessDenied" in why
    assert "Traceback" not in why
