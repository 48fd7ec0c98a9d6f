"""The section about augmentation."""

import dataclasses

from pgan_tf.config.options import (
    option,
    require_at_least,
    require_choice,
    require_default,
    require_positive,
)

AUGMENTATIONS = ("none", "ada", "diffaugment", "fixed")
SIGNALS = ("auto", "r_t", "r_v")
PIPE_LETTERS = "bgcfno"
POLICIES = ("color", "translation", "cutout")
# With r_t, that of section 3 of the paper. With r_v, whose ends are 0 and 1, halfway.
_TARGETS = {"r_t": 0.6, "r_v": 0.5}


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of all images that the discriminator sees, which the generator does not learn.

    Raises:
      ValueError: a value is out of range, or has no effect with this augmentation.
    """

    augment: str = option(
        "none",
        "Augment whatever the discriminator sees, for small data sets. ada: by --augment_pipe, "
        "each operation with a probability that adapts to overfitting (Karras et al. 2020); fixed: "
        "the same with probability --augment_p; diffaugment: by --augment_policy (Zhao et al. "
        "2020).",
        choices=AUGMENTATIONS,
    )
    augment_pipe: str = option(
        "bgc",
        "Groups of operations of --augment=ada and fixed, by letters: b, flips, quarter turns and "
        "whole pixels; g, geometry; c, color; f, filtering of frequencies; n, noise; o, cutout.",
    )
    augment_policy: str = option(
        "color,translation,cutout",
        "Operations of --augment=diffaugment, separated by commas.",
    )
    augment_p: float = option(
        0.2, "Probability from 0 to 1 of each operation of --augment=fixed, for each image."
    )
    augment_ramp_kimg: float = option(
        0.0,
        "Thousands of images at the start of the run over which --augment_p is approached from 0; "
        "0: no ramp.",
    )
    augment_signal: str = option(
        "auto",
        "The measure of overfitting that --augment=ada follows. r_t: the mean sign of the scores "
        "of reals, with --loss=logistic or rpgan; r_v: the distance of scores of reals to those of "
        "held-out images, by that to scores of fakes, with --validation_images. auto: r_t where "
        "the loss has signs, or else r_v.",
        choices=SIGNALS,
    )
    augment_target: float | None = option(
        None,
        "The value of --augment_signal, from -1 to 1, that --augment=ada aims at: above it, the "
        "probability of operations rises. Default: 0.6 of r_t, 0.5 of r_v.",
    )
    augment_kimg: float = option(
        500.0,
        "Thousands of images in which --augment=ada can move the probability of operations from 0 "
        "to 1.",
    )

    def __post_init__(self) -> None:
        require_choice("augment", self.augment, AUGMENTATIONS)
        _require_letters("augment_pipe", self.augment_pipe)
        if not self.policy_names:
            raise ValueError("augment_policy must name an operation. Received: nothing")
        for name in self.policy_names:
            require_choice("augment_policy", name, POLICIES)
        if not 0 <= self.augment_p <= 1:
            raise ValueError(f"augment_p must be from 0 to 1. Received: {self.augment_p}")
        require_at_least("augment_ramp_kimg", self.augment_ramp_kimg, 0)
        if not self.adapts and self.augment_target == _TARGETS["r_t"]:
            # Once the default, which is in the `config.flags` of runs without --augment=ada.
            object.__setattr__(self, "augment_target", None)
        require_choice("augment_signal", self.augment_signal, SIGNALS)
        if self.augment_target is not None and not -1 < self.augment_target < 1:
            raise ValueError(
                f"augment_target must be between -1 and 1. Received: {self.augment_target}"
            )
        require_positive("augment_kimg", self.augment_kimg)
        if self.augment != "diffaugment":
            require_default(self, "augment_policy", "without --augment=diffaugment")
        if not self.has_strength:
            require_default(self, "augment_pipe", "without --augment=ada or fixed")
        if self.augment != "fixed":
            for name in ("augment_p", "augment_ramp_kimg"):
                require_default(self, name, "without --augment=fixed")
        if not self.adapts:
            for name in ("augment_signal", "augment_target", "augment_kimg"):
                require_default(self, name, "without --augment=ada")

    @property
    def has_strength(self) -> bool:
        """True if operations are applied with a probability, the strength p."""
        return self.augment in ("ada", "fixed")

    @property
    def adapts(self) -> bool:
        """True if the strength p follows the discriminator's overfitting."""
        return self.augment == "ada"

    def target_of(self, signal: str) -> float:
        """Return the value that a signal, r_t or r_v, is held at."""
        return _TARGETS[signal] if self.augment_target is None else self.augment_target

    @property
    def policy_names(self) -> tuple[str, ...]:
        """The operations of `augment_policy`, in their order."""
        return tuple(name.strip() for name in self.augment_policy.split(",") if name.strip())


def _require_letters(name: str, value: str) -> None:
    """Raise ValueError unless `value` is letters of groups, each once."""
    if not value or len(set(value)) < len(value) or not set(value) <= set(PIPE_LETTERS):
        raise ValueError(
            f"{name} must be letters of {PIPE_LETTERS}, each at most once. Received: {value}"
        )
