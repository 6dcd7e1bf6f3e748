"""A serial line as a ByteStream: whatever pyserial opens by URL (``/dev/ttyUSB0``, ``socket://``, ``rfc2217://``)."""

from __future__ import annotations

import asyncio
import errno
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import serial

from drivers.base import NotConnected
from drivers.transport.own_thread import in_own_thread

try:
    from termios import error as termios_error
except ImportError:  # Windows has no terminals of this kind
    termios_error = OSError  # type: ignore[misc,assignment]

if TYPE_CHECKING:
    from drivers.base import ByteStream, StreamListener

__all__ = ["SerialOptions", "open_serial"]

_TURN_S = 0.1
"""How long a read may sit before it looks whether the stream was given up."""
# Where the peer holds the line up for longer, the port raises, and the stream is given up.
_WRITE_TIMEOUT_S = 1.0
# A link has one command in flight: so many mean that the line stands still (docs/decisions/0019).
_WAITING_WRITES_MAX = 64
_FAILURES = (OSError, serial.SerialException, termios_error, ValueError, TypeError, AttributeError)
"""All the ways in which pyserial's handlers fall over a port that vanishes under them."""
# What Linux says of a port that another program has opened for itself alone.
_HELD = (errno.EAGAIN, errno.EBUSY)
_PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


@dataclass(frozen=True, slots=True)
class SerialOptions:
    """Eight data bits, no flow control; the rest as the controller is set."""

    baud: int = 115200
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1


class _SerialStream:
    """A reader thread and a writer thread around the blocking port; the event loop never waits for it.

    The reader owns the end: it waits for the writer, closes the port, and then tells the listener.
    """

    def __init__(self, port: Any, listener: StreamListener) -> None:
        self._port = port
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        self._stop = threading.Event()
        self._writes: queue.Queue[bytes] = queue.Queue(_WAITING_WRITES_MAX)
        self._why: Exception | None = None
        self._writer = threading.Thread(target=self._write_on, name="serial-write", daemon=True)
        self._reader = threading.Thread(target=self._read_on, name="serial-read", daemon=True)

    def start(self) -> None:
        self._listener.stream_opened(self)
        self._writer.start()
        self._reader.start()

    def write(self, data: bytes) -> None:
        try:
            self._writes.put_nowait(data)
        except queue.Full:
            self._fail(NotConnected(f"{_WAITING_WRITES_MAX} writes wait: nobody takes them at the other end"))

    def abort(self) -> None:
        self._fail(None)

    async def wait_closed(self) -> None:
        await self._closed.wait()

    def _fail(self, why: Exception | None) -> None:
        """Called from any thread; the first reason stands."""
        if not self._stop.is_set():
            self._why = why
            self._stop.set()

    # threads

    def _read_on(self) -> None:
        try:
            while not self._stop.is_set():
                data = self._port.read(1)
                # The rest of what is there in one go: a read of many bytes would wait for the last of them.
                data += self._port.read(self._port.in_waiting) if data else b""
                if data:
                    self._call(self._listener.data_received, data)
        except _FAILURES as err:
            self._fail(_lost(err))
        finally:
            self._stop.set()
            self._writer.join()
            with suppress(NotImplementedError, *_FAILURES):
                self._port.reset_output_buffer()  # closing a line whose peer holds it up would wait for what is left
            _close(self._port)
            self._call(self._end)

    def _write_on(self) -> None:
        try:
            while not self._stop.is_set():
                with suppress(queue.Empty):
                    self._port.write(self._writes.get(timeout=_TURN_S))
        except _FAILURES as err:
            self._fail(_lost(err))

    def _call(self, what: Any, *args: object) -> None:
        with suppress(RuntimeError):  # the loop was closed under us: nobody listens
            self._loop.call_soon_threadsafe(what, *args)

    def _end(self) -> None:
        self._reader.join()
        self._closed.set()
        self._listener.stream_lost(self._why)


async def open_serial(url: str, options: SerialOptions, listener: StreamListener, *, timeout_s: float) -> ByteStream:
    """Open the port, for this process alone where the system can, and forget what lay in its buffers.

    Raises:
        NotConnected: no such port, not ours to open, held by another program, or not open within ``timeout_s``.
    """
    opening = in_own_thread(partial(_open_port, url, options), "serial-open")
    try:
        async with asyncio.timeout(timeout_s):
            # Shielded: an opening cannot be called back. It goes on, and what it opens in the end is closed.
            port = await asyncio.shield(opening)
    except TimeoutError:
        opening.add_done_callback(_close_unwanted)
        raise NotConnected(f"{url} did not open within {timeout_s:g} s") from None
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unwanted)
        raise
    except _FAILURES as err:
        held = "another program has it open: " if getattr(err, "errno", None) in _HELD else ""
        raise NotConnected(f"{url} cannot be opened: {held}{err}") from err
    stream = _SerialStream(port, listener)
    stream.start()
    return stream


def _open_port(url: str, options: SerialOptions) -> Any:
    port = serial.serial_for_url(
        url,
        do_not_open=True,
        baudrate=options.baud,
        parity=_PARITIES[options.parity],
        stopbits=options.stop_bits,
        timeout=_TURN_S,
        write_timeout=_WRITE_TIMEOUT_S,
    )
    # Only a port of this machine can be held; pyserial's URLs know no such thing.
    if "://" not in url:
        port.exclusive = True
    try:
        port.open()
    except BaseException:
        _close(port)
        raise
    with suppress(*_FAILURES):
        # What lies there was sent to the program before us.
        port.reset_input_buffer()
    return port


def _lost(err: Exception) -> NotConnected:
    """A port that fails while it is open, in words: pyserial's own tell how it fell over the port, not what to do."""
    if isinstance(err, serial.SerialTimeoutException):
        return NotConnected("the serial line takes nothing any more: look at its cable, and at the power of the peer")
    return NotConnected(f"the serial line was lost: look at its plug and its adapter or device server ({err})")


def _close_unwanted(opening: asyncio.Future[Any]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        _close(opening.result())


def _close(port: Any) -> None:
    """Close it, whatever state it is in. pyserial forgets a socket that the peer had reset, without closing it."""
    sock = getattr(port, "_socket", None)
    with suppress(*_FAILURES):
        port.close()
    if sock is not None:
        sock.close()
