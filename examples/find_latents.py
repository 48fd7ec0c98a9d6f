# %% [markdown]
# # Finding the latents of an image
#
# Gradient descent from random latents toward an image. The generator is an ordinary Keras model, so
# gradients flow through it.
#
#     python examples/find_latents.py NETWORK [IMAGE] [STEPS] [CLASS]
#
# `NETWORK` is a run directory or a `.keras` file. Without `IMAGE`, the target is an image that the
# generator draws itself. A generator with labels draws class number `CLASS`, by default 0.

# %%
import sys

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import pgan_tf

generator = pgan_tf.load_generator(sys.argv[1], dtype="float32")
image_file = sys.argv[2] if len(sys.argv) > 2 and sys.argv[2] else None
steps = int(sys.argv[3]) if len(sys.argv) > 3 else 300
class_number = int(sys.argv[4]) if len(sys.argv) > 4 else 0
(_, height, width, channels), latent_size = generator.output.shape, generator.inputs[0].shape[1]


def draw(latents: tf.Tensor) -> tf.Tensor:
    """Draw images of latents, `[b h w c]`."""
    if len(generator.inputs) == 1:
        return generator(latents)
    labels = tf.one_hot([class_number] * len(latents), generator.inputs[1].shape[1])
    return generator([tf.convert_to_tensor(latents), labels])


# %%
if image_file:
    mode = ("L", "LA", "RGB", "RGBA")[channels - 1]
    picture = Image.open(image_file)
    if picture.mode == "I;16":  # whose values Pillow would clip at 255
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    picture = picture.convert(mode).resize((width, height))
    target = np.asarray(picture, np.float32).reshape(1, height, width, channels) / 127.5 - 1.0
else:
    target = draw(pgan_tf.draw_latents(1, latent_size, seed=7)).numpy()

# %% [markdown]
# Eight starts at once, because descents end in different local minima. The generator normalizes
# its latents, so each step ends by scaling them to the usual length: longer ones learn more slowly.

# %%
latents = tf.Variable(pgan_tf.draw_latents(8, latent_size, seed=1))
optimizer = keras.optimizers.Adam(learning_rate=0.05)


@tf.function
def descend() -> tf.Tensor:
    """Take one step for all starts and return the mean squared error of each."""
    with tf.GradientTape() as tape:
        errors = tf.reduce_mean(tf.square(draw(latents) - target), axis=[1, 2, 3])
        loss = tf.reduce_sum(errors)
    optimizer.apply_gradients([(tape.gradient(loss, latents), latents)])
    length = tf.norm(latents, axis=1, keepdims=True)
    latents.assign(latents * (float(latent_size) ** 0.5) / length)
    return errors


errors = descend().numpy()
print(f"mean squared error at first: {errors.min():.4f} at best, {errors.mean():.4f} on average")
for _ in range(steps):
    errors = descend().numpy()
print(f"after {steps} steps: {errors.min():.4f} at best, {errors.mean():.4f} on average")

# %% [markdown]
# The target, then the best image found.

# %%
best = draw(latents[int(errors.argmin()) :][:1]).numpy()
pair = pgan_tf.make_grid(pgan_tf.to_uint8(np.concatenate([target, best])), columns=2)
factor = max(1, 256 // max(height, width))
pair = pair.repeat(factor, axis=0).repeat(factor, axis=1)
Image.fromarray(pair[:, :, 0] if channels == 1 else pair).save("found.png")
np.save("found.npy", latents[int(errors.argmin()) :][:1].numpy())
again = f" --classes={class_number}" if len(generator.inputs) > 1 else ""
print(f"found.png and found.npy; pgan-generate --latents=found.npy{again} draws it again")
