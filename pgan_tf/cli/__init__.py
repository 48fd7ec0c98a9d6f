"""The commands.

Each module parses one command's flags and calls one function. With `config/flags.py` this is the
only room that touches absl's flags. It may import every other room. Begin with `train.py`.
"""
