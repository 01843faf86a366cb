"""Ranks, coverage and scores of ensembles: pure statistics on arrays."""
