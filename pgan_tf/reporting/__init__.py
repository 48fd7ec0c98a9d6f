"""What a run writes while it trains: TensorBoard, `metrics.jsonl`, grids, progress lines, profiles.

Imports exporting and all below it. Begin with `reporter.py`.
"""
