"""Draw images with the generator in this folder, in plain Keras.

pip install keras tensorflow pillow      # or jax, or torch: KERAS_BACKEND=jax
python example.py --seed=1 --count=16 --output=images
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's messages about the machine

import keras
import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def main() -> None:
    """Parse the command line and write one PNG an image."""
    about = json.loads((HERE / "config.json").read_text(encoding="utf-8"))["pgan_tf"]
    names = about["class_names"]
    parser = argparse.ArgumentParser(description="Draw images with the generator in this folder.")
    parser.add_argument("--seed", type=int, default=0, help="of the latents")
    parser.add_argument("--count", type=int, default=8, help="number of images")
    parser.add_argument("--class", dest="label", help="name or number of a class; default: all")
    parser.add_argument("--truncation", type=float, default=1.0, help="0 (average) to 1 (none)")
    parser.add_argument("--output", type=Path, default=Path("images"), help="a directory")
    options = parser.parse_args()

    generator = keras.saving.load_model(HERE / "generator.keras", compile=False)
    rng = np.random.default_rng(options.seed)
    latents = rng.standard_normal([options.count, about["latent_size"]]).astype(np.float32)
    labels = choose_labels(about, options.label, options.count)
    images = draw(generator, latents, labels, options.truncation)

    options.output.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        to_picture(image, about["bits"]).save(options.output / f"{number:06d}.png")
    shown = "" if options.label is None or not names else f" of {options.label}"
    print(f"{len(images)} images{shown} in {options.output}")


def choose_labels(about: dict, wanted: str | None, count: int) -> np.ndarray | None:
    """Return labels `[count label_size]`, one-hot, of one class or of all in turn."""
    size, names = about["label_size"], about["class_names"]
    if not size:
        return None
    if wanted is None and about["label_rows"]:  # an image may have several labels
        rows = np.array(about["label_rows"], np.float32)
        return rows[np.arange(count) % len(rows)]
    classes = np.arange(count) % size
    if wanted is not None:
        if wanted not in names and not (wanted.isdecimal() and int(wanted) < size):
            raise SystemExit(f"--class must be one of {', '.join(names) or f'0 to {size - 1}'}")
        classes[:] = names.index(wanted) if wanted in names else int(wanted)
    return np.eye(size, dtype=np.float32)[classes]


def draw(
    generator: keras.Model, latents: np.ndarray, labels: np.ndarray | None, truncation: float
) -> np.ndarray:
    """Return images `[n h w c]`, nominally in [-1, 1]."""
    inputs = latents if labels is None else [latents, labels]
    if truncation == 1.0:
        return generator.predict(inputs, batch_size=8, verbose=0)
    # The network normalizes its latents, so truncation acts after that.
    normalized = generator.get_layer("latent_norm").output
    head = keras.Model(generator.inputs, normalized)
    tail = keras.Model(normalized, generator.outputs[0])
    features = head.predict(inputs if labels is not None else [latents], batch_size=8, verbose=0)
    features[:, : latents.shape[1]] *= truncation
    return tail.predict(features, batch_size=8, verbose=0)


def to_picture(image: np.ndarray, bits: int) -> Image.Image:
    """Return an image of 8 bits, or of 16 if it is grayscale and the network learned 16."""
    bits = bits if image.shape[-1] == 1 else 8
    highest = 2**bits - 1
    levels = np.clip(np.rint((image + 1.0) * (highest / 2)), 0, highest)
    levels = levels.astype(np.uint16 if bits == 16 else np.uint8)
    return Image.fromarray(levels[:, :, 0] if image.shape[-1] == 1 else levels)


if __name__ == "__main__":
    main()
