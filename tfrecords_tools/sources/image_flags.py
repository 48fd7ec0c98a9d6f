"""Flags of sources that hold images of any size, and the image policy that they request."""

from PIL import ImageColor

from tfrecords_tools.errors import UserError
from tfrecords_tools.image_files.policy import ImagePolicy
from tfrecords_tools.shape import SQUARE
from tfrecords_tools.sources.shared_flags import BITS, CHANNELS, MAX_PIXELS, check_bits
from tfrecords_tools.sources.spec import FlagSpec, SourceRequest


def parse_color(text: str) -> tuple[int, int, int]:
    """Return a color as RGB, 0..255.

    Raises:
      UserError: Pillow does not know the color, or it is transparent.
    """
    try:
        red, green, blue, *alpha = ImageColor.getrgb(text)
    except ValueError as error:
        raise UserError(
            f"--background must be a color: a name, #rrggbb or rgb(r,g,b). Received: {text}"
        ) from error
    if alpha:
        raise UserError(f"--background must be opaque, such as #rrggbb. Received: {text}")
    return red, green, blue


# All but --resolution, whose help differs from source to source.
POLICY_FLAGS = (
    CHANNELS,
    BITS,
    FlagSpec(
        "crop",
        "choice",
        "center",
        "Gives images the shape of the resolution, a square unless it is WIDTHxHEIGHT. center: the"
        " largest centered rectangle; pad: adds background, transparent if alpha is kept; stretch:"
        " scales both sides on their own; none: images of other shapes are errors.",
        choices=("center", "pad", "stretch", "none"),
    ),
    FlagSpec(
        "resize",
        "choice",
        "lanczos",
        "The filter that scales images to the resolution.",
        choices=("lanczos", "bicubic", "bilinear", "box", "nearest"),
    ),
    FlagSpec(
        "background",
        "string",
        "white",
        "The color of padding and behind transparent pixels, unless alpha is kept: a name, #rrggbb"
        " or rgb(r,g,b).",
        parse=parse_color,
    ),
    FlagSpec(
        "allow_upscale",
        "boolean",
        False,
        "Enlarge images smaller than the resolution, which otherwise are errors.",
    ),
    MAX_PIXELS,
)


def requested_policy(request: SourceRequest) -> ImagePolicy:
    """Return the policy that `--resolution` and `POLICY_FLAGS` ask for; 0 stands for auto."""
    base, resolution = request["resolution"] or (SQUARE, 0)
    check_bits(request["bits"], request["channels"])
    values = {flag.name: request[flag.name] for flag in POLICY_FLAGS}
    return ImagePolicy(resolution=resolution, base=base, **values)
