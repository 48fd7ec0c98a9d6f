"""Overfitting: the discriminator knows the images that it is trained on by heart."""

import statistics
from collections.abc import Sequence

from pgan_tf.config import AugmentConfig, TrainConfig
from pgan_tf.diagnosis.approach import has_come_near
from pgan_tf.diagnosis.findings import Check, Sign, Subject, Verdict
from pgan_tf.diagnosis.history import Tick, newest
from pgan_tf.diagnosis.measurements import MEMORIZATION, SEPARATION

_SIGNS = "scores/real_sign"
_STRENGTH = "augment/p"

# On the way from the scores of trained reals (0) to those of fakes (1): nearer to the fakes. Half
# is also where the heuristic of Karras et al. 2020 (section 3) is usually aimed at.
_MEMORIZED = 0.5
# Reals and fakes that are hardly told apart have no distance for held-out reals to lie in.
_LEAST_SEPARATION = 0.6
# Without held-out reals: nine of ten reals score as real. In a run on 1000 images of Fashion-MNIST
# without augmentation the mean sign rose from 0.3 to 0.84; ADA held it at its target, 0.6.
_KNOWN_BY_HEART = 0.8
# Images that were seen less often can't be known by heart.
_LEAST_EPOCHS = 5

# Below by so much there is none; between, a finding neither begins nor ends.
_BAND = 0.1

_MEASUREMENTS = 3
_TICKS = 5
# Above it, augmentations begin to show in fakes (Karras et al. 2020, section 2.2).
_MOST_STRENGTH = 0.8
# Of ADA; a lower one would augment also where nothing is overfitted.
_LEAST_TARGET = 0.1


def _look(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    if subject.config.data.validation_images:
        return _look_at_held_out(ticks, subject)
    return _look_at_signs(ticks, subject)


def _look_at_held_out(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    values = newest(ticks, MEMORIZATION, _MEASUREMENTS)
    separations = newest(ticks, SEPARATION, _MEASUREMENTS)
    if values is None or separations is None:
        return Verdict.UNKNOWN
    if statistics.mean(separations) < _LEAST_SEPARATION:
        return Verdict.UNKNOWN
    memorized = statistics.mean(values)
    if memorized < _MEMORIZED:
        return Verdict.UNKNOWN if memorized > _MEMORIZED - _BAND else Verdict.HEALTHY
    seen = (
        "held-out reals score like fakes "
        f"({memorized:.0%} of the way from reals that are trained on)"
    )
    return _sign(seen, ticks, subject)


def _look_at_signs(ticks: Sequence[Tick], subject: Subject) -> Sign | Verdict:
    if subject.config.loss.loss != "logistic":
        # Signs of differences, as of rpgan, tell reals from fakes: healthy runs had 0.9, while
        # held-out reals scored as the others.
        return Verdict.UNKNOWN
    values = newest(ticks, _SIGNS, _TICKS)
    if values is None or ticks[-1].images_seen < _LEAST_EPOCHS * subject.num_images:
        return Verdict.UNKNOWN
    mean = statistics.mean(values)
    # A generator that has learned nothing yet is easily told from any reals.
    if mean < _KNOWN_BY_HEART - _BAND or not has_come_near(ticks):
        return Verdict.HEALTHY
    if mean < _KNOWN_BY_HEART:
        return Verdict.UNKNOWN
    seen = f"nearly all reals score as real (mean sign {mean:.2f})"
    sign = _sign(seen, ticks, subject)
    advice = f"{sign.advice}, and --validation_images=N in a new run would tell for sure"
    return Sign(sign.seen, advice, sign.flags)


def _sign(seen: str, ticks: Sequence[Tick], subject: Subject) -> Sign:
    augment = subject.config.augment
    strength = ticks[-1].get(_STRENGTH) or 0.0
    if augment.augment == "none":
        if subject.config.loss.has_signs or _has_validation(subject.config):
            return Sign(seen, "ADA would help", {"augment": "ada"})
        return Sign(seen, "augmentation would help", {"augment": "diffaugment"})
    now = augment.target_of(subject.config.resolved_augment_signal)
    if augment.adapts and strength < _MOST_STRENGTH and now > _LEAST_TARGET:
        target = f"{max(now - 0.2, _LEAST_TARGET):.2g}"
        return Sign(seen, "a lower target of ADA would help", {"augment_target": target})
    if augment.augment == "fixed" and augment.augment_p < _MOST_STRENGTH / 2:
        stronger = f"{2 * augment.augment_p or AugmentConfig().augment_p:.2g}"
        return Sign(seen, "stronger augmentation would help", {"augment_p": stronger})
    return Sign(
        seen,
        "more images would help, augmentation is at its limit; or stop here, and keep the "
        "generator that pgan-evaluate --all_snapshots finds best",
    )


def _has_validation(config: TrainConfig) -> bool:
    """Return whether ADA could follow the scores of held-out images."""
    return config.data.validation_images > 0 and config.network.discriminator_norm != "batch"


OVERFITTING = Check("overfitting", _look, patience=3)
