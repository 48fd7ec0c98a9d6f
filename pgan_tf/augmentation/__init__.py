"""Augmentation that the generator does not learn: the discriminator sees D(T(x)) in place of D(x).

T is applied to reals and fakes alike. Begin with `pipeline.py`, which puts T together from the
operations of adaptive discriminator augmentation, ADA (Karras et al. 2020, "Training generative
adversarial networks with limited data", appendix B), one file a group, or from those of
`diffaugment.py` (Zhao et al. 2020). `operation.py` says what an operation is: a pure function of
images, noise and a strength, differentiable by the images as often as losses need it.

Imports config alone.
"""
