"""How convolutions are computed: fused resampling and Winograd's filtering.

The same functions as a plain convolution, up to rounding. Nothing here is part of a network.
"""
