"""What is kept of a calibration that is not done: plain values to the last bit, under names that say all they need."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from calibration.choosing.synthetic_defects import DefectKind, SyntheticDefect
from calibration.good_parts.known import KnownImage
from calibration.limits.defects import Defect
from calibration.workers import Work
from edge_agent.domain import Alignment, Outcome, Reason
from edge_agent.errors import Unavailable, UsageError
from edge_agent.inspection.networks.channels import View
from edge_agent.tools.plant import library
from edge_agent.tools.plant.hiring import Hire
from edge_agent.tools.plant.kept import Kept
from edge_agent.tools.plant.plain import from_bytes, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

LIES = Alignment(quality=0.1 + 0.2, shift_x_px=-1e-17, shift_y_px=3.0, angle_deg=0.0, gain=1.0, offset=float("inf"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        (LIES, [1, 2.5, "ä", True], {3: None}),
        {View.NATIVE: 1.0, View.TONE: 2.0},
        Defect(KnownImage(Path("a/b.png"), "0" * 64), Outcome.NG, Reason.SCORE, None),
    ],
)
def test_a_plain_value_comes_back_as_it_was(value: object) -> None:
    found = from_bytes(to_bytes(value))

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint8, bool])
def test_an_array_comes_back_bit_for_bit(dtype: Any) -> None:
    array = np.random.default_rng(1).normal(size=(3, 4, 2)).astype(dtype).transpose(1, 0, 2)

    (found,) = from_bytes(to_bytes([array]))

    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()


def test_a_synthetic_defect_comes_back() -> None:
    defect = SyntheticDefect(DefectKind.BLENDED, 3, None, 4, 5, np.arange(6, dtype=np.uint8).reshape(2, 3), 7.25)

    found = from_bytes(to_bytes(defect))

    assert (found.kind, found.base, found.donor, found.top, found.left, found.strength) == (
        DefectKind.BLENDED, 3, None, 4, 5, 7.25
    )  # fmt: skip
    assert (found.patch == defect.patch).all()


def test_what_is_not_plain_is_not_written() -> None:
    with pytest.raises(TypeError, match="is no plain value"):
        to_bytes([object()])


def test_a_file_that_holds_a_pickle_is_not_read() -> None:
    data = io.BytesIO()
    np.savez(data, tree=np.array([print], dtype=object))

    with pytest.raises(ValueError, match="allow_pickle"):
        from_bytes(data.getvalue())


def _add(a: int, b: int) -> int:
    return a + b


def test_a_file_is_read_only_where_it_is_whole(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept")
    path = kept.path(kept.name(Work(_add, (1,))), 2)
    assert kept.read(path) is None

    kept.write(path, 3)
    assert kept.read(path) == (3,)
    whole = path.read_bytes()
    for torn in (b"", whole[:20], whole[:-1], whole.replace(b"plain", b"other"), b"x" * 400):
        path.write_bytes(torn)
        assert kept.read(path) is None
    kept.remove()
    assert not (tmp_path / "kept").exists()
    kept.remove()


def test_only_what_was_kept_is_removed(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept")
    path = kept.path(b"", 2)
    kept.write(path, 3)
    (tmp_path / "kept" / "notes.txt").write_text("mine")

    kept.remove()

    assert [one.name for one in (tmp_path / "kept").iterdir()] == ["notes.txt"]


def test_a_name_hangs_on_function_common_and_item(tmp_path: Path) -> None:
    kept, array = Kept(tmp_path / "kept"), np.arange(4.0)
    name = kept.name(Work(_add, (array, "a", "a")))

    again = str(b"a", "ascii")  # an equal string, and another object than the first
    assert name == kept.name(Work(_add, (array.copy(), "a", again)))
    read_only = array.copy()
    read_only.setflags(write=False)
    assert name == kept.name(Work(_add, (read_only, "a", "a")))
    others: list[Callable[[], Work[Any]]] = [
        lambda: Work(_add, (array + 1e-9, "a", "a")),
        lambda: Work(_add, (array.astype(np.float32), "a", "a")),
        lambda: Work(_add, (array.reshape(2, 2), "a", "a")),
        lambda: Work(np.add, (array, "a", "a")),
    ]
    assert name not in {kept.name(other()) for other in others}
    assert kept.path(name, 1) != kept.path(name, 2)


def test_another_process_finds_the_same_names(tmp_path: Path) -> None:
    code = (
        "import numpy as np\nfrom pathlib import Path\nfrom calibration.workers import Work\n"
        "from edge_agent.domain import Alignment\nfrom edge_agent.tools.plant.kept import Kept\n"
        "kept = Kept(Path('k'))\n"
        "lies = Alignment(quality=.5, shift_x_px=1., shift_y_px=3., angle_deg=0., gain=1., offset=0.)\n"
        "print(kept.path(kept.name(Work(np.add, ({'a': np.arange(3.0)}, lies))), ('x', 2)).name)\n"
    )
    ran = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
        for _ in range(2)
    ]
    kept = Kept(tmp_path)
    lies = Alignment(quality=0.5, shift_x_px=1.0, shift_y_px=3.0, angle_deg=0.0, gain=1.0, offset=0.0)

    here = kept.path(kept.name(Work(np.add, ({"a": np.arange(3.0)}, lies))), ("x", 2)).name
    assert [one.stdout.strip() for one in ran] == [here, here]


def test_without_the_extra_a_calibration_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "find_spec", lambda name: None if name == "dask" else object())
    Hire().check()

    with pytest.raises(Unavailable, match="a calibration by several processes needs dask") as refused:
        Hire(workers=2).check()
    assert "edge-agent[plant]" in refused.value.hint
    with pytest.raises(UsageError, match="--workers is for this PC"):
        Hire(workers=2, scheduler="tls://10.0.0.5:8786").check()
    with pytest.raises(UsageError, match="is not encrypted"):
        Hire(scheduler="tcp://10.0.0.5:8786").check()
