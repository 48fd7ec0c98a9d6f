"""Pictures and videos of a saved generator, and of a run while it trains.

Imports legacy and all below it. Begin with `pictures.py`.
"""
