"""Flags of sources that hold images of any size, and the image policy that they request."""

from PIL import ImageColor

from tfrecords_tools.errors import UserError
from tfrecords_tools.sources.pixels import ImagePolicy
from tfrecords_tools.sources.shared_flags import CHANNELS, MAX_PIXELS
from tfrecords_tools.sources.spec import FlagSpec, SourceRequest


def parse_color(text: str) -> tuple[int, int, int]:
    """Return a color as RGB, 0..255.

    Raises:
      UserError: Pillow does not know the color.
    """
    try:
        color = ImageColor.getrgb(text)
    except ValueError as error:
        raise UserError(
            f"--background must be a color: a name, #rrggbb or rgb(r,g,b). Received: {text}"
        ) from error
    return color[0], color[1], color[2]


# All but --resolution, whose help differs from source to source.
POLICY_FLAGS = (
    CHANNELS,
    FlagSpec(
        "crop",
        "choice",
        "center",
        "Makes images square. center: the largest centered square; pad: adds background; none:"
        " images that are not square are errors.",
        choices=("center", "pad", "none"),
    ),
    FlagSpec(
        "resize",
        "choice",
        "lanczos",
        "The filter that scales the square to the resolution.",
        choices=("lanczos", "bicubic", "bilinear", "box", "nearest"),
    ),
    FlagSpec(
        "background",
        "string",
        "white",
        "The color of padding and behind transparent pixels: a name, #rrggbb or rgb(r,g,b).",
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
    values = {flag.name: request[flag.name] for flag in POLICY_FLAGS}
    return ImagePolicy(resolution=request["resolution"] or 0, **values)
