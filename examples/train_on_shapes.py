# %% [markdown]
# # Training from Python
#
# Draws shapes, writes them as a pyramid, trains a small network on them and draws a grid with it.
# It trains for seconds, to show the steps: expect blots of color. For recognizable shapes, use the
# settings of `configs/demo.flags` and a few minutes.
#
#     python examples/train_on_shapes.py [DIRECTORY]

# %%
import sys
from pathlib import Path

import pgan_tf
from tfrecords_tools.sources.synthetic import SyntheticSource
from tfrecords_tools.writing.writer import WriteOptions, write_pyramid

DIRECTORY = Path(sys.argv[1] if len(sys.argv) > 1 else "shapes_example")
RESOLUTION = 16
KIMG = 0.2  # thousands of images per fade, and per resolution after its fade

# %% [markdown]
# A pyramid holds every image at every resolution from 4x4 up. A source is any object with `count`,
# `resolution`, `channels`, `labels()` and `load(i)`: write such a class for your own data.

# %%
source = SyntheticSource(count=500, resolution=RESOLUTION, with_labels=True)
data = DIRECTORY / "data" / "shapes"
write_pyramid(source, data, WriteOptions(overwrite=True), flags={}, say=print)

# %% [markdown]
# The configuration's fields are the flags of `pgan-train`. An existing run directory is continued.

# %%
config = pgan_tf.TrainConfig(
    data=pgan_tf.DataConfig(data_dir=str(data)),
    network=pgan_tf.NetworkConfig(fmap_base=128, fmap_max=16),
    schedule=pgan_tf.ScheduleConfig(
        start_resolution=8,  # short runs may skip 4x4
        stabilize_kimg=KIMG,
        fade_kimg=KIMG,
        total_kimg=4 * KIMG,
        batch_size=16,
        learning_rate=0.002,
    ),
    optimizer=pgan_tf.OptimizerConfig(ema_decay=0.9),
    run=pgan_tf.RunConfig(run_dir=str(DIRECTORY / "run"), tick_kimg=0.2),
)
result = pgan_tf.train(config)
print(f"{result.images_seen} images seen")

# %% [markdown]
# A sampler draws uint8 images. Here every class gets the same latents.

# %%
import numpy as np  # noqa: E402, where it is used
from PIL import Image  # noqa: E402

sampler = pgan_tf.Sampler(DIRECTORY / "run")
names, labels = sampler.labels()
latents = pgan_tf.draw_latents(8, sampler.latent_size, seed=1)
images = sampler.draw(np.tile(latents, [len(names), 1]), np.repeat(labels, 8, axis=0))
grid = pgan_tf.make_grid(np.stack(list(images)), columns=8)
Image.fromarray(grid).resize((512, 320), Image.Resampling.NEAREST).save(DIRECTORY / "shapes.png")
print(f"{DIRECTORY / 'shapes.png'}, a row each: {', '.join(names)}")
