"""The command as a process, installed as ``scenario-gen`` and called by ``python -m scenario_gen``.

Loads nothing before Ctrl-C is provided for: while the command itself is still being loaded nothing is begun, so
that leaving at once is whole.
"""

import os
import signal
from types import FrameType

INTERRUPTED = 130


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    os.write(2, b"interrupted; nothing was begun\n")
    os._exit(INTERRUPTED)  # an exception would run through half-loaded modules, which print it or swallow it


def main() -> None:
    """Run the command line of this process."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGINT, _leave)
    from scenario_gen.cli.app import main as command

    command()


if __name__ == "__main__":
    main()
