"""A stand-in for a library that parses files in a process of its own."""

import os
import signal
import time

import numpy as np

from tfrecords_tools.image_files.bad_image import BadImageError
from tfrecords_tools.untrusted.isolated import open_parser


class Parser:
    """An object that does what libraries do with damaged files."""

    def __init__(self, path):
        self.path = path

    def arrays(self, count):
        return {"x": np.arange(count, dtype=np.float32).reshape(2, -1, order="F"), "y": "text"}

    def process(self):
        return os.getpid()

    def die(self, number):
        os.kill(os.getpid(), number)

    def leave(self):
        os._exit(3)

    def fail(self):
        raise ValueError("no\nsuch page")

    def refuse(self):
        raise BadImageError("image 3", "is damaged")

    def take_memory(self):
        return len(bytearray(6 << 30))

    def sleep(self):
        time.sleep(60)


def parse_in_worker(path):
    return os.getpid(), open_parser(Parser, path).call("process")


def die_in_worker(path):
    return open_parser(Parser, path).call("die", signal.SIGSEGV)


def end_this_process(*arguments):
    os.kill(os.getpid(), signal.SIGSEGV)
