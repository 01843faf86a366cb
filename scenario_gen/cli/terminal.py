"""Standard output and error of the command line: what may be written to them, and what happens when they end.

Three promises. A character that the console's encoding lacks is replaced, never an error. A column name, a title or
the name of a file cannot command the terminal: their control characters are written out. Where the output is
closed (``| head``) or full, the work goes on to its own exit code; a full disk is told on stderr.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from types import FrameType

from scenario_gen.errors import printable

INTERRUPTED = 130
OUTPUT_LOST = 2


def say(text: str, *, err: bool = False) -> None:
    """Print a line, or several, with nothing in them that could command a terminal."""
    print(printable(text), file=sys.stderr if err else sys.stdout, flush=True)


class Outlet(io.TextIOWrapper):
    """A standard stream that replaces what it cannot encode, and falls silent where it can no longer be written."""

    trouble: OSError | None = None  # why it fell silent

    def write(self, text: str) -> int:
        """Write the text, or nothing any more once writing failed."""
        if self.trouble is None:
            try:
                return super().write(text)
            except OSError as error:
                self._fall_silent(error)
        return len(text)

    def flush(self) -> None:
        """Flush; what could not be written is dropped."""
        try:
            super().flush()
        except OSError as error:
            self._fall_silent(error)

    def _fall_silent(self, error: OSError) -> None:
        """Let the rest go nowhere: what the buffer still holds would fail again, at the latest when Python leaves."""
        self.trouble = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def outlet(stream: object) -> Outlet | None:
    """Return a standard stream as an :class:`Outlet`; None for what stands in its place, such as a test's buffer."""
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, Outlet):
        return None
    stream.flush()
    lines = stream.line_buffering or stream.isatty()
    return Outlet(stream.buffer, stream.encoding, "replace", line_buffering=lines, write_through=stream.write_through)


def use_outlets() -> None:
    """Put outlets in the place of this process's standard output and error."""
    sys.stdout = outlet(sys.stdout) or sys.stdout
    sys.stderr = outlet(sys.stderr) or sys.stderr


def told_losses(code: object) -> object:
    """Return the exit code of a command that left with ``code``, after a word on output that could not be written.

    A closed pipe is no mistake of anybody's. Output that is full is: the command then leaves with 2 at least.
    """
    sys.stdout.flush()
    trouble = sys.stdout.trouble if isinstance(sys.stdout, Outlet) else None
    if trouble is None or trouble.errno in (errno.EPIPE, errno.EINVAL):  # Windows says EINVAL of a closed pipe
        return code
    say(
        f"what was to be printed could not be written: {trouble.strerror}\n"
        "  to do:    free some space, or print to another place; files that were written are whole",
        err=True,
    )
    return code or OUTPUT_LOST


class Interruption:
    """Ctrl-C: remembers that it came, since libraries that are being imported turn it into errors of their own."""

    came = False

    @classmethod
    def listen(cls) -> None:
        """Take interruptions from now on as KeyboardInterrupt; leave them ignored where they are (nohup)."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, cls._note)

    @classmethod
    def _note(cls, number: int, frame: FrameType | None) -> None:
        del number, frame
        cls.came = True
        raise KeyboardInterrupt
