"""The chunks of a replay, one after the other to whoever is free; what ends its workers is found by halving.

Never more chunks are on their way than there are workers, and one each: the client's memory does not hang on how many
there are, and what a stop costs neither.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.errors import Unavailable
from edge_agent.tools.plant.judging import JudgedChunk, judge_chunk
from edge_agent.tools.replay.image import Judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge_agent.tools.plant.judging import Chunk

__all__ = ["judged_chunks"]

_DEATHS = 3
"""Of workers, after which an image is not tried again."""
_LOOK_S, _PATIENCE = 10.0, 60
"""How often it is looked whether any worker is left, and how often there may be none."""
_RETRIES = 2
"""Of an image that cannot be read: a share may have been away for a moment."""


def judged_chunks(client: Any, chunks: Iterator[Chunk], say: Callable[[str], None]) -> Iterator[JudgedChunk]:
    """What came of each chunk, as it comes. Raises what a worker raised, and Unavailable where no scheduler is left.

    A chunk whose worker ends is tried once more: anything may have ended it, also the chunk before it. If that one
    ends, too, it is put aside until the others are done, and then halved, one half at a time with nothing beside
    it, down to the images that do it. One that ends three workers is told as not judged, and why.

    ``say`` is told where nothing comes back for long: an image that holds native code up for ever ends no worker.
    """
    sent: dict[Any, Chunk] = {}
    again: deque[Chunk] = deque()
    tried: set[int] = set()
    aside: list[Chunk] = []
    done: SimpleQueue[Any] = SimpleQueue()

    def send() -> None:
        while len(sent) <= 2 * max(1, _workers(client)) - 1:
            chunk = again.popleft() if again else next(chunks, None)
            if chunk is None:
                return
            future = _submit(client, chunk)
            sent[future] = chunk
            future.add_done_callback(done.put)

    send()
    while sent:
        future = _next(client, done, lambda: say(_silent_words(sent.values())))
        chunk = sent.pop(future)
        found = _result(future, chunk)
        if found is not None:
            yield found
        elif chunk.number in tried:
            aside.append(chunk)
        else:
            tried.add(chunk.number)
            again.append(chunk)
        send()
    for chunk in aside:
        yield _halved(client, chunk, say)


def _next(client: Any, done: SimpleQueue[Any], tell_silent: Callable[[], None]) -> Any:
    """The next future that is done; tells where none was for ten minutes. Raises Unavailable where no worker was."""
    lonely = looks = 0
    while lonely < _PATIENCE:
        try:
            return done.get(timeout=_LOOK_S)
        except Empty:
            lonely, looks = 0 if _workers(client) else lonely + 1, looks + 1
            if looks % _PATIENCE == 0:
                tell_silent()
    raise Unavailable("no worker has come back for ten minutes", hint="the same command goes on where it stopped")


def _say_silent(say: Callable[[str], None], piece: Chunk) -> None:
    say(_silent_words([piece]))


def _silent_words(chunks: Iterable[Chunk]) -> str:
    on_their_way = "; ".join(f"{one.images[0][0]!r} to {one.images[-1][0]!r}" for one in chunks)
    return (
        "nothing has come back for ten minutes. If chunks do not take so long here, an image holds a worker up. On "
        f"their way are {on_their_way}. What was judged is kept: stop, take that image away, and name another --out"
    )


def _workers(client: Any) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


def _submit(client: Any, chunk: Chunk) -> Any:
    return client.submit(judge_chunk, chunk, pure=False, retries=_RETRIES)


def _result(future: Any, chunk: Chunk) -> JudgedChunk | None:
    """What a worker found; None where it ended its workers."""
    from distributed import CancelledError, KilledWorker  # noqa: PLC0415 - an extra

    try:
        found: JudgedChunk = future.result()
    except KilledWorker:
        return None
    except CancelledError as err:
        raise Unavailable(
            f"the scheduler was lost while chunk {chunk.number} was judged",
            hint="the same command goes on where it stopped",
        ) from err
    finally:
        future.release()
    return found


def _halved(client: Any, chunk: Chunk, say: Callable[[str], None]) -> JudgedChunk:
    """The chunk in pieces, each of which is judged with nothing beside it; in its order."""
    done: SimpleQueue[Any] = SimpleQueue()
    waiting, rows, proof = deque([(chunk.images, 0)]), [], ""
    while waiting:
        images, deaths = waiting.popleft()
        piece = replace(chunk, images=images)
        future = _submit(client, piece)
        future.add_done_callback(done.put)
        found = _result(_next(client, done, partial(_say_silent, say, piece)), piece)
        if found is not None:
            rows += found.rows
            proof = found.proof
        elif len(images) > 1:
            middle = len(images) // 2
            waiting.extendleft(((images[middle:], 0), (images[:middle], 0)))
        elif deaths + 1 < _DEATHS:
            waiting.appendleft((images, deaths + 1))
        else:
            rows.append(_not_judged(images[0][0]))
    return JudgedChunk(chunk.number, rows, proof)


def _not_judged(name: str) -> dict[str, Any]:
    """The row of an image that ended every worker that tried to judge it."""
    why = "not judged: this image ended three workers, one after the other, with nothing beside it"
    nan = float("nan")
    return Judged(Path(name), "", Inspection(Outcome.NG, Reason.INTERNAL, nan, nan, "", "", detail=why)).to_row()
