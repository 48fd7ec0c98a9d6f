"""`pgan-train`, which kills itself while it saves a checkpoint."""

import os
import random
import signal
import threading

import tensorflow as tf

from pgan_tf.cli import train


def main(arguments):
    """Train, until the checkpoint of as many images as the first argument says is being written."""
    doomed, *rest = arguments
    write = tf.train.Checkpoint.write

    def write_and_die(self, path, *args, **kwargs):
        if path.endswith("-" + doomed):
            delay = random.random() * 0.02  # a checkpoint of these networks takes about that long
            threading.Timer(delay, os.kill, [os.getpid(), signal.SIGKILL]).start()
            while True:
                write(self, path, *args, **kwargs)
        return write(self, path, *args, **kwargs)

    tf.train.Checkpoint.write = write_and_die
    return train.main(rest)
