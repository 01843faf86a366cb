"""The command line: reads arguments, calls one function of the room that does the work, prints the result.

Knows how to speak to a terminal; computes nothing.
"""

from scenario_gen.cli.app import main

__all__ = ["main"]
