"""The model card of a generator: `README.md`, as the hub shows it."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from pgan_tf.evaluation.by_class import is_of_one_class
from pgan_tf.evaluation.extraction import OTHER_FEATURES
from pgan_tf.exporting.hub.facts import Facts, MetricRow
from pgan_tf.exporting.hub.front_matter import metadata, to_yaml
from pgan_tf.runs.hub import SCHEME
from pgan_tf.runs.run_directory import format_duration
from tfrecords_tools.printable import encodable, printable

# Begins a gap that the user should fill in.
GAP = "**To be filled in:**"
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~>$=-])")
_NUMBERED = re.compile(r"^(\d+)\.")
_MAX_CLASSES, _MAX_CLASS_NAME = 50, 60
_COLORS = {1: "grayscale", 2: "grayscale with alpha", 3: "RGB", 4: "RGBA"}


@dataclasses.dataclass(frozen=True)
class CardText:
    """The parts of a card that only its author knows; empty where they are not given.

    Attributes:
      title: of the card.
      repository: on the hub, `user/name`.
      license: an identifier of the hub, a name or a URL.
      intended_use: in Markdown, as the next two.
      limitations: known ones.
      data_description: of the data that the generator was trained on.
    """

    title: str = ""
    repository: str = ""
    license: str = ""
    intended_use: str = ""
    limitations: str = ""
    data_description: str = ""


def write_card(
    facts: Facts, text: CardText, *, versions: str, sample_rows: str, neighbors: str
) -> str:
    """Return the card.

    Args:
      facts: about the generator.
      text: of its author.
      versions: of the libraries that wrote the folder, as a phrase.
      sample_rows: what the rows of `samples.png` show, as a phrase; empty for nothing.
      neighbors: file name of the sheet of neighbors; empty without.
    """
    title = _one_line(text.title) or _default_title(facts)
    fields = metadata(
        license_text=text.license,
        conditional=bool(facts.label_size),
        title=title,
        values=_by_data(facts),
    )
    sections = [
        f"# {escape(title)}",
        _introduction(facts),
        "![Samples](samples.png)",
        *([f"Each row is {escape(sample_rows)}."] if sample_rows else []),
        *_use(facts, text),
        *_model(facts, versions),
        *_data(facts, text),
        *_training(facts),
        *_evaluation(facts, neighbors),
        "## Intended use",
        text.intended_use.strip() or _gap("what this generator is for (`--intended_use`)"),
        "## Limitations",
        text.limitations.strip()
        or _gap("what it draws badly, and what of the data it repeats (`--limitations`)"),
        "## License",
        _license(text.license),
        "## References",
        "T. Karras, T. Aila, S. Laine, J. Lehtinen: [Progressive Growing of GANs for Improved "
        "Quality, Stability, and Variation](https://arxiv.org/abs/1710.10196), ICLR 2018.",
    ]
    return encodable(to_yaml(fields) + "\n" + "\n\n".join(sections) + "\n")


def _by_data(facts: Facts) -> dict[str, list[tuple[str, float]]]:
    """Return the values of metrics by name, for each name of data."""
    values: dict[str, list[tuple[str, float]]] = {}
    for row in _shown_metrics(facts):
        data = row.data or facts.data.name or "training data"
        values.setdefault(data, []).append((row.label, row.value))
    return values


def _shown_metrics(facts: Facts) -> list[MetricRow]:
    """Return the values but for those of single classes, which may be many: their mean is there."""
    return [row for row in facts.metrics if not is_of_one_class(row.name)]


def gaps(card: str) -> list[str]:
    """Return what is to be filled in in a card, one phrase a gap."""
    marked = (line.partition(GAP)[2] for line in card.splitlines() if GAP in line)
    return [phrase.strip() for phrase in marked]


def escape(text: str) -> str:
    """Return text, such as a class's name, so that Markdown shows it as it is, on one line."""
    shown = printable(_one_line(text)).replace("&", "&amp;").replace("<", "&lt;")
    return _NUMBERED.sub(r"\1\\.", _MARKUP.sub(r"\\\1", shown))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _gap(phrase: str) -> str:
    return f"> {GAP} {phrase}"


def _default_title(facts: Facts) -> str:
    subject = f" of {facts.data.name}" if facts.data.name else ""
    return f"Progressive GAN{subject}, {facts.size_text}"


def _introduction(facts: Facts) -> str:
    kind = "A class-conditional generator" if facts.label_size else "A generator"
    colors = _COLORS.get(facts.channels, f"{facts.channels}-channel")
    return (
        f"{kind} of {facts.size_text} {colors} images, a Progressive GAN trained with `pgan_tf`. "
        "The samples were drawn with it at random, and not chosen."
    )


def _use(facts: Facts, text: CardText) -> Iterator[str]:
    location = f"{SCHEME}{text.repository or 'USER/NAME'}"
    labels = f", np.eye({facts.label_size}, dtype=np.float32)[[0] * 4]" if facts.label_size else ""
    arguments = f"[latents{labels}]" if labels else "latents"
    yield "## Use"
    yield "With Keras alone (`pip install keras tensorflow huggingface_hub`):"
    yield "\n".join(
        [
            "```python",
            "import keras",
            "import numpy as np",
            "",
            f'generator = keras.saving.load_model("{location}")',
            f"latents = np.random.default_rng(0).standard_normal((4, {facts.latent_size}), "
            "np.float32)",
            f"images = generator({arguments})  # 4x{facts.height}x{facts.width}x{facts.channels}, "
            "in [-1, 1]",
            "```",
        ]
    )
    yield (
        "`example.py` writes PNG files, of one class and truncated if you like. With `pgan_tf`: "
        f"`pgan-generate --network={location} --output=images`, or "
        f'`pgan_tf.load_generator("{location}")`.'
    )


def _model(facts: Facts, versions: str) -> Iterator[str]:
    description = facts.description
    rows = [
        ("Resolution", facts.size_text),
        ("Channels", _COLORS.get(facts.channels, str(facts.channels))),
        ("Latents", f"{facts.latent_size}, standard normal"),
        _labels(facts),
        ("Weights", f"{facts.parameters:,}"),
    ]
    if description.bits == 16:
        rows.insert(2, ("Trained on", "16 bits a value"))
    if description.alpha is not None and description.alpha < 1:
        rows.append(("Newest layers", f"still fading in, with the weight {description.alpha:.2f}"))
    if isinstance(length := description.other.get("ema_length"), float):
        rows.append(("Moving average", f"{length:g} of the images shown"))
    rows.append(("Written by", versions))
    yield "## Model"
    yield _bullets(rows)
    if facts.class_names:
        shown = [_code(name) for name in facts.class_names[:_MAX_CLASSES]]
        more = len(facts.class_names) - len(shown)
        rest = f", and {more} more in `config.json`" if more else ""
        kind = "Labels" if facts.description.label_rows else "Classes"
        yield f"{kind}, in their order: {', '.join(shown)}{rest}."


def _labels(facts: Facts) -> tuple[str, str]:
    if facts.description.label_rows:
        return "Labels", f"{facts.label_size}, of which an image may have several"
    return "Classes", str(facts.label_size) if facts.label_size else "none"


def _code(name: str) -> str:
    """Return a class's name, cut if it is long, as it stands in a list."""
    line = _one_line(name)
    cut = line if len(line) <= _MAX_CLASS_NAME else line[: _MAX_CLASS_NAME - 3] + "..."
    return escape(cut) or '""'


def _data(facts: Facts, text: CardText) -> Iterator[str]:
    data = facts.data
    rows = [
        ("Name", escape(data.name)),
        ("Images", "" if data.count is None else f"{data.count:,}"),
        ("Never trained on", f"{data.held_out:,} of these" if data.held_out else ""),
        ("Read as", escape(data.source)),
    ]
    known = [row for row in rows if row[1]]
    yield "## Training data"
    if known:
        yield _bullets(known)
    yield text.data_description.strip() or _gap(
        "what the images show, where they come from and under which license (`--data_description`)"
    )


def _training(facts: Facts) -> Iterator[str]:
    description, told = facts.description, []
    if facts.kimg is not None:
        told.append(f"It was shown {facts.kimg:,.6g} thousand real images.")
    if facts.training_seconds is not None:
        told.append(f"Training took {format_duration(facts.training_seconds)}.")
    if description.imported_from is not None:
        details = [
            _code(detail)
            for detail in (description.original_name, description.original_version)
            if detail
        ]
        told.append(
            f"Imported from {_code(description.imported_from)}, a network of the original "
            f"implementation ({', '.join(details) or 'of unknown version'})."
        )
    if not told and not facts.flags:
        return
    yield "## Training"
    if told:
        yield " ".join(told)
    if facts.flags:
        yield "\n".join(
            [
                "<details>",
                "<summary>Flags of the run, without those that name places</summary>",
                "",
                "```",
                *facts.flags,
                "```",
                "",
                "</details>",
            ]
        )


def _evaluation(facts: Facts, neighbors: str) -> Iterator[str]:
    yield "## Evaluation"
    rows = _shown_metrics(facts)
    if not rows:
        yield _gap("metrics of this generator; `pgan-evaluate`, then export again")
    else:
        floors = any(row.floor is not None for row in rows)
        spreads = any(row.spread is not None for row in rows)
        columns = {
            "Metric": [escape(row.label) for row in rows],
            "Value": [_value(row.value) for row in rows],
            "Spread": [_rounded(row.spread) for row in rows],
            "Floor": [_value(row.floor) for row in rows],
            "Images": [_whole(row.num_images) for row in rows],
            "Against": [escape(row.data) or "-" for row in rows],
        }
        # Columns that say nothing are left out.
        shown = {head: cells for head, cells in columns.items() if set(cells) != {"-"}}
        if len(_by_data(facts)) == 1 and rows[0].data in ("", facts.data.name):
            shown.pop("Against", None)
        yield _table(list(shown), list(zip(*shown.values(), strict=True)))
        notes = []
        if floors:
            notes.append("The floor is the value of real images against other real images.")
        if spreads:
            notes.append(
                "The spread is the standard deviation over other images of this generator; two "
                "generators are not to be ranked by a difference below the root of the sum of "
                "both squared spreads."
            )
        if any(row.features == OTHER_FEATURES for row in rows):
            notes.append(
                "Other features are not those of the Inception network of published values, with "
                "which these can't be compared."
            )
        if len(rows) < len(facts.metrics):
            notes.append("The values of single classes are in `config.json`.")
        if notes:
            yield " ".join(notes)
    if neighbors:
        yield (
            "Generated images beside the training images nearest to them, most alike first "
            "(it shows training images):"
        )
        yield f"![Neighbors]({neighbors})"


def _value(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"


def _rounded(spread: float | None) -> str:
    return "-" if spread is None else f"{spread:.2g}"


def _whole(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _license(text: str) -> str:
    if not text.strip():
        return _gap("the license of this generator (`--license`)")
    line = _one_line(text)
    return f"<{line}>" if re.fullmatch(r"https?://[^\s<>]+", line) else escape(line)


def _bullets(rows: Sequence[tuple[str, str]]) -> str:
    """Return a list of names and values; names in them are escaped already."""
    return "\n".join(f"- **{name}:** {value}" for name, value in rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; a name in its cells is escaped already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
