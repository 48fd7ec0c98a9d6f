"""The numbers and files measured from the original implementation."""

from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"
