"""Reading a scenario spec: YAML to frozen values, or every mistake in it with file, line and field.

Imports nothing heavy, so that a spec can be judged in a moment. Use :func:`load_spec` for a file,
:func:`spec_from_dict` for a mapping made in Python.
"""

from scenario_gen.spec.loader import LoadedSpec, load_spec, parse_spec, spec_from_dict

__all__ = ["LoadedSpec", "load_spec", "parse_spec", "spec_from_dict"]
