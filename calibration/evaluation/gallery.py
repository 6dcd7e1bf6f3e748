"""What a report shows of a data set: rows of pictures, and how latent codes and embeddings of the test images lie.

The paper's Figures 6, 9 and 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.domain import Outcome
from edge_agent.inspection.networks.anomaly_map import to_working
from edge_agent.inspection.networks.embedding import Embedder
from edge_agent.inspection.networks.sessions import Network
from edge_agent.report.seen import pictures_of, score_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from calibration.evaluation.dataset import DataSet, LabelledImage
    from calibration.options import CalibrationOptions
    from edge_agent.domain import Inspection
    from edge_agent.inspection.inspector import Inspector, Pictures
    from edge_agent.report.facts import PartPictures

__all__ = ["Gallery", "latent_onnx", "make_gallery", "worth_showing"]

_FEWEST_TO_MAP = 8
_MOST_PERPLEXITY = 30.0
_WORST, _DOUBTFUL, _RANDOM = 2, 3, 2


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Of one method of the product, first draw and first seed.

    ``latent`` and ``embedding`` are t-SNE coordinates (n, 2) of the test images: of the latent codes of all patches
    of an image, one after the other, and of the paper's pooled embedding of its anomaly map; not a number for an image
    that was refused. None for too few images.
    """

    method: str
    parts: tuple[PartPictures, ...]
    latent: NDArray[np.float64] | None
    embedding: NDArray[np.float64] | None


def make_gallery(
    method: str,
    inspector: Inspector,
    data: DataSet,
    scores: NDArray[np.float64],
    progress: Callable[[int, int], None],
    *,
    options: CalibrationOptions,
) -> Gallery:
    """Look again at all n test images, for the pages that show them.

    Their ``scores`` of the shape (n,) are known by now; ``options`` are those of the calibration.
    """
    chosen = worth_showing(scores, inspector.bundle.limit, data.defective)
    latent_network = Network(latent_onnx(inspector.bundle.cpcae_onnx), options.threads)
    embedder = Embedder(options.backbone.pooled_onnx(), threads=options.threads)
    seen = np.zeros(len(data.tests), np.bool_)
    codes, embeddings, parts = [], [], {}
    for index, test in enumerate(data.tests):
        data_bytes = test.path.read_bytes()
        explained = inspector.explain(data_bytes)
        pictures = explained[1]
        if pictures is not None:
            seen[index] = True
            working = to_working(pictures.input, inspector.bundle.grid)
            codes.append(latent_network.run(inspector.bundle.grid.cut(working)).ravel())
            embeddings.append(embedder.embed(pictures.anomaly_map[..., None]))
            if index in chosen:
                parts[index] = _shown(test, data_bytes, explained, chosen[index])
        progress(index + 1, len(data.tests))
    return Gallery(
        method, tuple(parts[i] for i in chosen if i in parts), _mapped(codes, seen), _mapped(embeddings, seen)
    )


def worth_showing(scores: NDArray[np.float64], limit: float, defective: NDArray[np.bool_]) -> dict[int, str]:
    """Which test images to show, and why, in that order; scores and ``defective`` (n,) are the test images'.

    The worst are the defective ones with the lowest and the good ones with the highest scores; the most doubtful lie
    nearest to the limit; the others are drawn at random, always the same.
    """
    chosen: dict[int, str] = {}
    for name, order in (
        ("worst: lowest score of a defective part", [i for i in np.argsort(scores) if defective[i]]),
        ("worst: highest score of a good part", [i for i in np.argsort(-scores) if not defective[i]]),
    ):
        chosen |= {int(i): name for i in order[:_WORST]}
    nearness = np.abs(scores - limit)
    doubtful = [int(i) for i in np.argsort(nearness) if int(i) not in chosen]
    chosen |= dict.fromkeys(doubtful[:_DOUBTFUL], "doubtful: near the limit")
    shuffled = np.random.default_rng(0).permutation(len(scores))
    for is_defective, name in ((True, "random: defective"), (False, "random: good")):
        left = [int(i) for i in shuffled if defective[i] == is_defective and int(i) not in chosen]
        chosen |= dict.fromkeys(left[:_RANDOM], name)
    return chosen


def latent_onnx(cpcae: bytes) -> bytes:
    """The encoder of a ``cpcae.onnx``: patches (P, C, p, p) in [0, 1] to latent vectors (P, latent).

    The first dense layer ends in them. Raises ValueError for a network without one.
    """
    import onnx  # noqa: PLC0415 - only for pictures

    model = onnx.load_from_string(cpcae)
    nodes = list(model.graph.node)
    last = next((at for at, node in enumerate(nodes) if node.op_type == "Gemm"), None)
    if last is None:
        raise ValueError("no dense layer in the autoencoder: where its latent vectors are is not known")
    del model.graph.node[last + 1 :]
    del model.graph.output[:]
    shape = [model.graph.input[0].type.tensor_type.shape.dim[0].dim_value, None]
    model.graph.output.append(onnx.helper.make_tensor_value_info(nodes[last].output[0], onnx.TensorProto.FLOAT, shape))
    needed = {name for node in model.graph.node for name in node.input}
    kept = [constant for constant in model.graph.initializer if constant.name in needed]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return bytes(model.SerializeToString())


def _shown(test: LabelledImage, data: bytes, explained: tuple[Inspection, Pictures | None], why: str) -> PartPictures:
    inspection, _ = explained
    said = "passed" if inspection.outcome is Outcome.OK else "rejected"
    return pictures_of(
        explained,
        data,
        label=f"{test.kind}/{test.path.name}",
        caption=f"{why}; {said}: {score_words(inspection.reason, inspection.score, inspection.limit)}",
        is_wrong=test.is_defective is (inspection.outcome is Outcome.OK),
    )


def _mapped(rows: list[NDArray[np.float32]], seen: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Two coordinates a test image by t-SNE, always the same for the same ``rows``, which are of those ``seen``."""
    from sklearn.manifold import TSNE  # noqa: PLC0415 - a second of start-up

    if len(rows) < _FEWEST_TO_MAP or not math.isfinite(float(np.sum(rows))):
        return None
    perplexity = min(_MOST_PERPLEXITY, (len(rows) - 1) / 3)
    found = np.full((len(seen), 2), np.nan)
    found[seen] = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(np.stack(rows))
    return found
