"""Generators: a context and uniforms become paths.

Owns the protocol (``base``), the list of generators with their sections of a spec (``sections``), and one file per
generator. Knows histories and paths; nothing of strategies or reports.
"""
