"""Blocks of paths: computed wherever the queue is, in parts that are put together, and merged into results."""
