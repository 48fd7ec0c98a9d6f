"""The commands: each parses its flags and calls functions of the rooms below.

Imports every other room. Begin with `prepare.py`.
"""
