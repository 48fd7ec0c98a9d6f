"""What each figure of a run means: the names that TensorBoard and metrics.jsonl know it by."""

from fnmatch import fnmatchcase

# By tag; a star stands for anything.
_DESCRIPTIONS = {
    "loss/discriminator": "What the discriminator minimises: all of its terms.",
    "loss/generator": "What the generator minimises: minus the score of fakes (WGAN-GP), and its "
    "label term. The mean over the steps that train it.",
    "loss/gradient_penalty": "The penalty's term of the discriminator's loss.",
    "loss/gradient_norm": "Norm of the score's gradient by the image: between reals and fakes, "
    "where WGAN-GP's penalty pulls it to its target, 1 by default; at reals, where R1 lowers it.",
    "loss/drift": "The term that keeps scores of reals near 0.",
    "loss/label_real": "Cross-entropy of the labels that the discriminator reads off reals, nats.",
    "loss/label_fake": "Cross-entropy of the labels that the discriminator reads off fakes, in its "
    "own step, nats.",
    "loss/label_generator": "Cross-entropy of the labels that the discriminator reads off fakes, "
    "in the generator's step, nats.",
    "scores/real": "The discriminator's mean score of reals.",
    "scores/fake": "The discriminator's mean score of fakes.",
    "updates/discriminator_gradient_norm": "Norm of the discriminator's whole gradient, the mean "
    "over devices.",
    "updates/generator_gradient_norm": "Norm of the generator's whole gradient, the mean over "
    "devices.",
    "updates/discriminator_skipped": "Updates left out since the last tick, because a gradient was "
    "not finite.",
    "updates/generator_skipped": "Updates left out since the last tick, because a gradient was not "
    "finite.",
    "progress/kimg": "Thousands of real images shown.",
    "progress/resolution": "Pixels along a side at the stage being trained.",
    "progress/alpha": "Weight of the stage's new layers: rises from 0 to 1 while it fades in.",
    "progress/batch_size": "Images a step, over all devices.",
    "progress/learning_rate": "Adam's, of both networks, in the tick's last step.",
    "progress/eta_hours": "Hours of training left, as predicted.",
    "speed/images_per_second": "Real images a second, without time spent on grids, checkpoints and "
    "preparing a stage.",
    "speed/seconds_per_kimg": "Seconds for a thousand real images.",
    "speed/data_wait_fraction": "Part of the time that was spent waiting for data: 0 is best.",
    "memory/host_gib": "Memory of this process that is in use, GiB.",
    "memory/host_peak_gib": "The most memory that this process has used, GiB.",
    "memory/gpu*_peak_gib": "The most memory that TensorFlow has used on this GPU, GiB.",
    "memory/gpu*_gib": "Memory that TensorFlow uses on this GPU, GiB.",
    "metrics/swd/average": "Sliced Wasserstein distance of the EMA generator's images to reals, "
    "x1e3, the mean over levels. Falls towards that of reals to other reals.",
    "metrics/swd/*": "Sliced Wasserstein distance of one level of the Laplacian pyramid, x1e3.",
    "metrics/ms_ssim": "How alike pairs of fakes are, from 0 to 1; 1 where all are the same.",
    "metrics/ms_ssim/gap": "How far that is from the same of reals: 0 is best.",
    "metrics/fid": "Fréchet distance between features of fakes and reals. Lower is better.",
    "metrics/is": "Inception score of fakes. Higher is better.",
    "metrics/kid": "Kernel distance between features of fakes and reals. Lower is better.",
    "metrics/is/std": "Standard deviation of the Inception score over its splits.",
    "metrics/kid/std": "Standard deviation of the kernel distance over its subsets.",
    "metrics/precision_recall/precision": "Share of fakes among the features of reals.",
    "metrics/precision_recall/recall": "Share of reals among the features of fakes.",
    "metrics/precision_recall/f1": "Harmonic mean of precision and recall. Higher is better.",
    "metrics/modes/hit": "Numbers of MNIST-RGB that occur among fakes, of 1000.",
    "metrics/modes/kl": "How unevenly they occur, in nats: 0 is best.",
    "metrics/floor/*": "The same of reals compared with other reals: the best that can be reached.",
    "images/reals": "Images of the data, at the final resolution.",
    "images/fakes": "What the EMA generator makes of the same latents every time.",
    "weights_*_gradient": "Adam's mean of gradients; with `--adam_beta1=0`, the default, the last "
    "gradient itself.",
    "weights_*": "Weights as they are stored, before equalized learning rates scale them.",
}


def describe(tag: str) -> str:
    """One or two sentences on what a tag shows, with its unit; empty for one that is not known."""
    return next((text for name, text in _DESCRIPTIONS.items() if fnmatchcase(tag, name)), "")
