"""The commands: each parses flags and calls one function.

Imports every other room. Begin with `prepare.py`.
"""
