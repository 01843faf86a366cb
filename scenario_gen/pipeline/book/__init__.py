"""Stages of a book: several assets whose paths are one future, and the strategies that trade them together."""
