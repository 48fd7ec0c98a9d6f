"""Export of a generator in another format, checked against Keras."""

import dataclasses
import functools
import math
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pgan_tf.distribution.devices import full_float32
from pgan_tf.exporting import onnx_file, plain_keras, saved_model, tflite_file, web
from pgan_tf.exporting.export_format import ExportedGenerator, ExportFormat, ExportOptions
from pgan_tf.exporting.hub import folder
from pgan_tf.generating.truncation import truncated_function
from pgan_tf.runs.grids import Generate, draw_latents
from pgan_tf.runs.saved_generator import describe_generator, find_generator, load_generator
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import check_output, staged_directory, user_path, whole_output_file

FORMATS: dict[str, ExportFormat] = {
    "keras": plain_keras.FORMAT,
    "saved_model": saved_model.FORMAT,
    "onnx": onnx_file.FORMAT,
    "tflite": tflite_file.FORMAT,
    "hub": folder.FORMAT,
