"""Looking at pyramids: what is in them, whether they are whole, and how two of them differ.

Imports writing and all below it. Begin with `overview.py`.
"""
