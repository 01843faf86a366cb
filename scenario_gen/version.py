"""Which version of scenario-gen this is: what is kept for later names it, and so does every run.

A file of its own, so that a room need not load the package's face to know it.
"""

VERSION = "0.1.0"
