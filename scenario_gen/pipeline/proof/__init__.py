"""The proof of a finished run: its folder held against itself, and some of its paths made again."""
