"""A description of each TensorBoard tag of a run, as TensorBoard shows it."""

from fnmatch import fnmatchcase

# By tag; a star stands for any text.
_DESCRIPTIONS = {
    "loss/discriminator": "Loss of the discriminator: the sum of all its terms.",
    "loss/generator": (
        "Loss of the generator: minus the score of fakes (WGAN-GP), plus its label term. The mean "
        "over the steps that train it."
    ),
    "loss/gradient_penalty": "The gradient penalty in the discriminator's loss.",
    "loss/gradient_norm": (
        "Norm of the gradient of the score with respect to the image: between reals and fakes for "
        "WGAN-GP, whose penalty pulls it to its target, 1 by default; at reals for R1, which "
        "lowers it."
    ),
    "loss/gradient_penalty_fakes": "R2, the penalty at fakes, in the loss of the discriminator.",
    "loss/gradient_norm_fakes": (
        "Norm of the gradient of the score with respect to the image, at fakes; R2 lowers it."
    ),
    "loss/drift": "The term of the discriminator's loss that keeps the scores of reals near 0.",
    "loss/label_real": (
        "Cross-entropy of the labels that the discriminator predicts for reals, in nats."
    ),
    "loss/label_fake": (
        "Cross-entropy of the labels that the discriminator predicts for fakes in its own step, "
        "in nats."
    ),
    "loss/label_generator": (
        "Cross-entropy of the labels that the discriminator predicts for fakes in the generator's "
        "step, in nats."
    ),
    "scores/real": "The discriminator's mean score of reals.",
    "scores/fake": "The discriminator's mean score of fakes.",
    "scores/real_sign": (
        "Mean sign of the scores of reals, or with rpgan of their distance to those of fakes: near "
        "1 the discriminator knows the reals by heart. --augment=ada holds it at its target."
    ),
    "scores/validation": "The discriminator's mean score of held-out images.",
    "augment/p": "Probability of each operation of augmentation.",
    "augment/r_t": (
        "The signal that --augment=ada holds at its target: the mean sign of scores of reals, over "
        "up to four steps."
    ),
    "augment/r_v": (
        "The signal that --augment=ada holds at its target: 0 if the discriminator scores held-out "
        "images as reals that it is trained on, 1 if as fakes; over up to four steps."
    ),
    "updates/discriminator_gradient_norm": (
        "Norm of the gradient of all of the discriminator's weights, the mean over devices."
    ),
    "updates/generator_gradient_norm": (
        "Norm of the gradient of all of the generator's weights, the mean over devices."
    ),
    "updates/discriminator_skipped": (
        "Updates of the discriminator skipped since the last tick, because a gradient was not "
        "finite."
    ),
    "updates/generator_skipped": (
        "Updates of the generator skipped since the last tick, because a gradient was not finite."
    ),
    "progress/kimg": "Thousands of real images shown.",
    "progress/resolution": "Side of the images at the stage being trained, in pixels.",
    "progress/alpha": "Weight of the stage's new layers: rises from 0 to 1 while they fade in.",
    "progress/batch_size": "Images per step, over all devices.",
    "progress/learning_rate": "Adam's learning rate for both networks, in the tick's last step.",
    "progress/eta_hours": "Predicted hours of training left.",
    "speed/images_per_second": (
        "Real images per second, not counting time spent on grids, checkpoints and preparing a "
        "stage."
    ),
    "speed/seconds_per_kimg": "Seconds per thousand real images.",
    "speed/data_wait_fraction": "Fraction of the time spent waiting for data: 0 is best.",
    "speed/host_seconds_per_step": (
        "Seconds in which the host starts a step. On GPUs, which compute meanwhile, it should be "
        "below the time of a step; on CPUs it includes the computation."
    ),
    "memory/host_gib": "Memory that this process uses, in GiB.",
    "memory/host_peak_gib": "The most memory that this process has used, in GiB.",
    "memory/gpu*_peak_gib": "The most memory that TensorFlow has used on this GPU, in GiB.",
    "memory/gpu*_gib": "Memory that TensorFlow uses on this GPU, in GiB.",
    "metrics/swd/average": (
        "Sliced Wasserstein distance of the EMA generator's images to reals, times 1000, the mean "
        "over levels. Falls toward the distance of reals to other reals."
    ),
    "metrics/swd/*": (
        "Sliced Wasserstein distance at one level of the Laplacian pyramid, times 1000."
    ),
    "metrics/ms_ssim": "Similarity of pairs of fakes, from 0 to 1; 1 if all are the same.",
    "metrics/ms_ssim/gap": "Difference from the MS-SSIM of pairs of reals: 0 is best.",
    "metrics/fid": "Fréchet distance between features of fakes and reals. Lower is better.",
    "metrics/is": "Inception score of fakes. Higher is better.",
    "metrics/kid": "Kernel distance between features of fakes and reals. Lower is better.",
    "metrics/is/std": "Standard deviation of the Inception score over its splits.",
    "metrics/kid/std": "Standard deviation of the kernel distance over its subsets.",
    "metrics/precision_recall/precision": (
        "Fraction of fakes within the manifold of reals. Higher is better."
    ),
    "metrics/precision_recall/recall": (
        "Fraction of reals within the manifold of fakes. Higher is better."
    ),
    "metrics/precision_recall/f1": "Harmonic mean of precision and recall. Higher is better.",
    "metrics/modes/hit": "Numbers of MNIST-RGB that occur among fakes, of 1000.",
    "metrics/modes/kl": (
        "KL divergence of the numbers among fakes from a uniform distribution, in nats: 0 is best."
    ),
    "metrics/fid_by_class/mean": "Mean over classes of the Fréchet distance within each.",
    "metrics/fid_by_class/*": "Fréchet distance between fakes and reals of one class.",
    "metrics/precision_recall_by_class/mean/*": "Mean over classes of the values within each.",
    "metrics/precision_recall_by_class/*": "Precision, recall or both of one class.",
    "metrics/density_coverage/density": (
        "Number of balls of reals that a fake is in, by k; of reals, 1. Higher is better."
    ),
    "metrics/density_coverage/coverage": (
        "Fraction of reals with a fake in their ball. Higher is better."
    ),
    "metrics/dinov2/*": (
        "The metric of this name on DINOv2's features, which does not compare with Inception's."
    ),
    "metrics/spread/*": (
        "The spread of the same metric: its standard deviation over other fakes of the generator."
    ),
    "metrics/floor/*": (
        "The same metric of reals against other reals: the best that can be reached."
    ),
    "diagnosis/separation": (
        "Fraction of pairs of a real and a fake in which the real scores higher: 0.5 by chance."
    ),
    "diagnosis/memorization": (
        "Mean score of held-out reals, on the way from reals that are trained on, 0, to fakes, 1."
    ),
    "diagnosis/variety": "Mean distance of two fakes, in that of two reals: 0 if all are the same.",
    "diagnosis/nearest": (
        "Mean distance of a fake to the one nearest to it, in that of reals: 0 if most fakes "
        "have a twin."
    ),
    "diagnosis/class_variety": (
        "Mean distance of two fakes of a class, in that of two of its reals."
    ),
    "diagnosis/similarity": "MS-SSIM of pairs of fakes; only while they vary little.",
    "diagnosis/real_similarity": "MS-SSIM of pairs of reals; only while fakes vary little.",
    "diagnosis/distance": (
        "Sliced Wasserstein distance of 4x4 patches of the generator's images from those of reals, "
        "in standard deviations of pixels."
    ),
    "diagnosis/average_distance": "The same of the moving average's images.",
    "images/reals": "Images of the data, at the final resolution.",
    "images/fakes": "Images of the EMA generator, of the same latents every time.",
    "weights_*_gradient": (
        "Adam's mean of gradients; with `--adam_beta1=0`, the default, the last gradient itself."
    ),
    "weights_*": "Weights as they are stored, before the scale of equalized learning rates.",
}


def describe_tag(tag: str) -> str:
    """Return one or two sentences on a tag, with its unit; empty for an unknown tag."""
    return next((text for name, text in _DESCRIPTIONS.items() if fnmatchcase(tag, name)), "")
