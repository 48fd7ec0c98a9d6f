"""The projection of pictures: each is searched for, and what was found is written at once."""

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pgan_tf.generating.captions import captioned_grid
from pgan_tf.generating.sampler import Sampler
from pgan_tf.generating.video import save_video
from pgan_tf.metrics import FeatureExtractor
from pgan_tf.projecting.distance import Distance
from pgan_tf.projecting.projection import Projection, Projector
from pgan_tf.projecting.targets import Picture, PictureReader, as_floats
from pgan_tf.runs.grids import generate_images, make_grid, save_png, to_display
from pgan_tf.runs.saved_generator import as_function, load_generator
from tfrecords_tools.errors import UserError
from tfrecords_tools.files import whole_file
from tfrecords_tools.progress import Progress

# Shares of the steps whose images stand beside the picture, before what was found.
_SHOWN = (0.0, 0.03, 0.1, 0.3, 0.6)
_FPS = 20.0


@dataclasses.dataclass(frozen=True)
class ProjectOptions:
    """The choices of a projection.

    Attributes:
      steps: of Adam; see `Projector`.
      starts: random latents to start from.
      seed: of the starts.
      learning_rate: of Adam, in radians a step.
      pixel_weight: of the distance of pixels; see `Distance`.
      feature_weight: of the distance of features, which counts with an extractor alone.
      classes: of a conditional network that are tried, by name or number; empty for all.
      batch_size: the most starts at a time; None for as many as fit into memory.
    """

    steps: int = 300
    starts: int = 8
    seed: int = 0
    learning_rate: float = 0.4
    pixel_weight: float = 1.0
    feature_weight: float = 1.0
    classes: Sequence[str] = ()
    batch_size: int | None = None


class Projections:
    """Projects pictures into the latent space of one network.

    Attributes:
      class_names: names of the classes that are tried; empty without classes.
    """

    def __init__(
        self,
        sampler: Sampler,
        options: ProjectOptions,
        *,
        extractor: FeatureExtractor | None = None,
        ema_length: float | None = None,
    ):
        """Prepare to project.

        Args:
          sampler: of the generator.
          options: the choices.
          extractor: of features to compare beside the pixels; None for pixels alone.
          ema_length: that of the sampler; see `load_generator`.

        Raises:
          UserError: there is no such class, or the extractor has no gradients.
        """
        self._sampler, self._options = sampler, options
        self.class_names, self._labels = sampler.labels(options.classes)
        distance = Distance(
            sampler.height,
            sampler.width,
            sampler.channels,
            pixel_weight=options.pixel_weight,
            feature_weight=options.feature_weight,
            extractor=extractor,
        )
        self._projector = Projector(
            _in_float32(sampler, ema_length),
            distance,
            steps=options.steps,
            starts=options.starts,
            learning_rate=options.learning_rate,
            seed=options.seed,
            batch_size=options.batch_size,
        )
        self._generate = as_function(sampler.model, bits=sampler.bits)

    def find(self, image: np.ndarray, progress: Progress | None = None) -> Projection:
        """Find the latents of a picture `[h w c]`, uint8 or uint16, of the generator's size."""
        update = progress.update if progress else lambda steps: None
        return self._projector.project(as_floats(image), self._labels, progress=update)

    def write_all(
        self,
        pictures: Sequence[Picture],
        reader: PictureReader,
        output: Path,
        *,
        video: str | None = None,
    ) -> Iterator[tuple[Picture, dict[str, Any]]]:
        """Find the latents of pictures, and write what was found for each as soon as it is.

        Files are `NAME.npy` (latents `[1 latent_size]`), `NAME.png` (their image), `NAME-steps.png`
        (the picture, images on the way, and the image that was found), `NAME.json`, and a video.

        Args:
          pictures: the pictures.
          reader: of the pictures.
          output: a directory that exists.
          video: `mp4`, `gif` or `webp`, for a video of the way; None for none.

        Yields:
          A picture and the content of its JSON file.
        """
        work = self._projector.work(0 if self._labels is None else len(self._labels))
        with Progress(work * len(pictures), "steps") as progress:
            for picture in pictures:
                image = reader.read(picture)
                found = self.find(image, progress)
                yield picture, self._write(picture, image, found, output, video)

    def _write(
        self,
        picture: Picture,
        image: np.ndarray,
        found: Projection,
        output: Path,
        video: str | None,
    ) -> dict[str, Any]:
        with whole_file(output / f"{picture.name}.npy") as path, path.open("wb") as file:
            np.save(file, found.latents[np.newaxis])
        save_png(output / f"{picture.name}.png", next(self._draw(found, [-1])))
        save_png(output / f"{picture.name}-steps.png", self._steps_sheet(image, found))
        if video:
            frames = self._frames(image, found)
            save_video(output / f"{picture.name}.{video}", frames, fps=_FPS)
        described = self._describe(picture, found)
        with whole_file(output / f"{picture.name}.json") as path:
            path.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        return described

    def _draw(self, found: Projection, places: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the images of places on a projection's way."""
        latents = found.path[list(places)]
        labels = None if found.label is None else np.tile(found.label, [len(latents), 1])
        batches = generate_images(
            self._generate, latents, labels, batch_size=self._sampler.batch_size
        )
        for batch in batches:
            yield from batch

    def _steps_sheet(self, image: np.ndarray, found: Projection) -> np.ndarray:
        wanted = [share * found.path_steps[-1] for share in _SHOWN]
        places = sorted({int(np.searchsorted(found.path_steps, step)) for step in wanted})
        places = [place for place in places if place < len(found.path) - 1]
        images = np.stack([image, *self._draw(found, [*places, -1])])
        captions = ["picture", *(f"step {found.path_steps[place]}" for place in places), "found"]
        return captioned_grid(to_display(images), captions, len(images))

    def _frames(self, image: np.ndarray, found: Projection) -> Iterator[np.ndarray]:
        """Yield the picture beside each image on the way, and the last for another second."""
        for drawn in self._draw(found, range(len(found.path))):
            frame = make_grid(np.stack([image, drawn]), 2)
            yield frame
        for _ in range(round(_FPS)):
            yield frame

    def _describe(self, picture: Picture, found: Projection) -> dict[str, Any]:
        values: dict[str, Any] = {
            "picture": picture.display_name,
            "network": str(self._sampler.file),
            "latents": f"{picture.name}.npy",
            "rms_error": round(127.5 * math.sqrt(found.pixel_distance), 3),
            "distance": found.distance,
            "pixel_distance": found.pixel_distance,
            "feature_distance": found.feature_distance,
            "start_distances": found.start_distances.tolist(),
        }
        if found.label_row is not None and found.label is not None:
            values["label"] = found.label.tolist()
            if self.class_names:
                values["class"] = self.class_names[found.label_row]
        options = dataclasses.asdict(self._options)
        del options["batch_size"], options["classes"]
        return {**values, **options}


def _in_float32(sampler: Sampler, ema_length: float | None) -> keras.Model:
    """Return the generator as it computes in float32: small gradients vanish in 16 bits."""
    computed = {getattr(layer, "compute_dtype", "float32") for layer in sampler.model.layers}
    if computed == {"float32"}:
        return sampler.model
    return load_generator(sampler.file, dtype="float32", ema_length=ema_length)


def project(
    network: str | os.PathLike,
    images: np.ndarray,
    *,
    extractor: FeatureExtractor | None = None,
    **options: Any,
) -> list[Projection]:
    """Find latents whose images are near given ones.

    Args:
      network: a run directory or a `.keras` file.
      images: `[n h w c]` uint8, or uint16 for a network trained on 16 bits, of the network's size.
      extractor: of features to compare beside the pixels, as from `metrics.load_inception`; None
        for pixels alone.
      **options: see `ProjectOptions`.

    Returns:
      A projection for each image: its latents, its label and how near they come.

    Raises:
      UserError: there is no such network or class, the images have another shape or type, or the
        extractor has no gradients.
    """
    sampler = Sampler(network)
    size = (sampler.height, sampler.width, sampler.channels)
    wanted = "uint16" if sampler.bits == 16 else "uint8"
    if images.ndim != 4 or images.shape[1:] != size or images.dtype != wanted:
        raise UserError(
            f"images must be [n {size[0]} {size[1]} {size[2]}] {wanted}, as those of "
            f"{sampler.file}. Received: {list(images.shape)} {images.dtype}"
        )
    projections = Projections(sampler, ProjectOptions(**options), extractor=extractor)
    with Progress(len(images), "pictures") as progress:
        found = []
        for image in images:
            found.append(projections.find(image))
            progress.update(1)
    return found
