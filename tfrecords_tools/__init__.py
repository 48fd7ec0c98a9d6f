"""Multi-resolution TFRecord pyramids: the format, its sources, its writer. Needs no TensorFlow."""

import os
import sys

if sys.platform == "win32":
    _REFUSAL = "pgan_tf needs Linux or macOS; on Windows, install it in WSL (wsl --install)"
    if os.path.basename(sys.argv[0]).startswith("pgan-"):  # a command: one line, no traceback
        sys.stderr.write(f"error: {_REFUSAL}\n")
        raise SystemExit(2)
    raise ImportError(_REFUSAL)
