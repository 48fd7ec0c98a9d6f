"""Metrics of generated images: arrays in, floats out.

Features, statistics and metrics are separate, so that any extractor works with any metric:

    extract = load_inception("inception-2015-12-05.tgz")  # or load_features("module:function")
    a, b = extract(reals), extract(fakes)                 # [n h w 3] uint8 each
    fid = frechet_distance(feature_statistics(a.features), feature_statistics(b.features))

Sliced Wasserstein distance and MS-SSIM need pixels alone. One file holds one metric. This room
imports no other room, and TensorFlow only where a graph is run.
"""

from pgan_tf.metrics.density_coverage import DensityCoverage, density_coverage
from pgan_tf.metrics.differentiable import TensorExtractor, differentiable
from pgan_tf.metrics.digit_classifier import (
    DigitClassifier,
    load_digit_classifier,
    train_digit_classifier,
)
from pgan_tf.metrics.dinov2 import DIGEST_PREFIX as DINOV2_DIGEST
from pgan_tf.metrics.dinov2 import NAME as DINOV2
from pgan_tf.metrics.dinov2 import DINOv2Extractor, load_dinov2
from pgan_tf.metrics.features import (
    FeatureExtractor,
    Features,
    FunctionExtractor,
    load_features,
)
from pgan_tf.metrics.frechet import (
    FeatureStatistics,
    StatisticsAccumulator,
    feature_statistics,
    frechet_distance,
    frechet_distance_and_spread,
)
from pgan_tf.metrics.inception import InceptionExtractor, load_inception
from pgan_tf.metrics.inception_file import GRAPH_SHA256 as INCEPTION_SHA256
from pgan_tf.metrics.inception_score import inception_score, inception_score_spread
from pgan_tf.metrics.kernel_distance import (
    MOST_PER_SUBSET,
    KernelEstimate,
    estimate_kernel_distance,
    kernel_distance,
)
from pgan_tf.metrics.laplacian_pyramid import laplacian_pyramid
from pgan_tf.metrics.modes import Modes, mode_coverage, modes, read_numbers
from pgan_tf.metrics.ms_ssim import ms_ssim
from pgan_tf.metrics.neighbors import (
    Neighbors,
    NeighborSearch,
    memorization,
    nearer_of,
    outlines,
)
from pgan_tf.metrics.patches import (
    PATCH_SIZE,
    PATCHES_PER_IMAGE,
    PatchSampler,
    swd_sizes,
)
from pgan_tf.metrics.precision_recall import (
    PrecisionRecall,
    compare_manifolds,
    precision_recall,
)
from pgan_tf.metrics.spread import bootstrap, spread_of_mean
from pgan_tf.metrics.swd import sliced_wasserstein, swd, swd_spread

__all__ = [
    "DINOV2",
    "DINOV2_DIGEST",
    "INCEPTION_SHA256",
    "MOST_PER_SUBSET",
    "PATCHES_PER_IMAGE",
    "PATCH_SIZE",
    "DINOv2Extractor",
    "DensityCoverage",
    "DigitClassifier",
    "FeatureExtractor",
    "FeatureStatistics",
    "Features",
    "FunctionExtractor",
    "InceptionExtractor",
    "KernelEstimate",
    "Modes",
    "NeighborSearch",
    "Neighbors",
    "PatchSampler",
    "PrecisionRecall",
    "StatisticsAccumulator",
    "TensorExtractor",
    "bootstrap",
    "compare_manifolds",
    "density_coverage",
    "differentiable",
    "estimate_kernel_distance",
    "feature_statistics",
    "frechet_distance",
    "frechet_distance_and_spread",
    "inception_score",
    "inception_score_spread",
    "kernel_distance",
    "laplacian_pyramid",
    "load_digit_classifier",
    "load_dinov2",
    "load_features",
    "load_inception",
    "memorization",
    "mode_coverage",
    "modes",
    "ms_ssim",
    "nearer_of",
    "outlines",
    "precision_recall",
    "read_numbers",
    "sliced_wasserstein",
    "spread_of_mean",
    "swd",
    "swd_sizes",
    "swd_spread",
    "train_digit_classifier",
]
