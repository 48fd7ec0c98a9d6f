"""Where a pyramid's images come from, one file a source.

Imports format and the common ground. Begin with `base.py`.
"""
