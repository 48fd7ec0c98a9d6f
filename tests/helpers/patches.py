"""Patches of images in an array, as SWD takes them."""

from pgan_tf.metrics.patches import PatchSampler


def patches(images, *, seed, batch_size=None):
    """Return the patches of images `[n h w c]` at each level, added batch by batch."""
    count, height, width, channels = images.shape
    sampler = PatchSampler(count, (height, width), channels, seed=seed)
    for start in range(0, count, batch_size or count):
        sampler.add(images[start : start + (batch_size or count)])
    return sampler.finish()
