"""The commands.

Each module declares one `Command`: its flags, its help and the function that it calls. With
`config/flags.py` this is the only room that touches absl's flags. It may import every other room,
and imports TensorFlow, which takes seconds, only once the flags are known to be right
(`quiet.py`). Begin with `train.py`.
"""
