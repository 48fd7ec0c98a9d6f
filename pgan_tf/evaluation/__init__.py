"""Metrics of generators against pyramids: whose images, which metrics, where results are kept.

Imports metrics, runs and all below them. Begin with `evaluate.py`.
"""
