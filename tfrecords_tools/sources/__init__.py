"""Sources of images for a pyramid, one file for each.

A source is an object of the protocol `Source` (`base.py`), and is declared once, as the
`SourceSpec` (`spec.py`) at the end of its own file: name, description, flags, and the function that
opens it. `registry.py` lists the specs. Begin with `spec.py`, then `synthetic.py`, the simplest.

To add a source: write `<name>.py` with a class of that protocol and a `SPEC`; add `<name>.SPEC` to
`registry.py`; test it in `tests/tfrecords_tools/sources/test_<name>.py`. The command defines and
checks its flags from the spec. A library that only this source needs is imported when the source is
opened (`extras.require`), so that the command starts without it.

Imports `format` and the common ground.
"""
