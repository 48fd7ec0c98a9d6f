"""Commands as processes of their own."""

import sys

TRAIN = [sys.executable, "-c", "import sys; from pgan_tf.cli.train import main; sys.exit(main())"]
