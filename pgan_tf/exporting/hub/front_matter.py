"""The YAML at the top of a model card, which the hub reads.

Fields as in the hub's specification (`modelcard.md` of its documentation).
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfrecords_tools.printable import encodable, printable

# Identifiers that the hub knows; others are `other`, with a name.
_LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1
lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa
unlicense zlib pddl lgpl-lr deepfloyd-if-license llama2 gemma unknown other
"""
LICENSES = frozenset(_LICENSES.split())
PIPELINE_TAG = "unconditional-image-generation"
_TAGS = ("gan", "progressive-growing-of-gans", "image-generation", "pgan_tf")
# Text that YAML reads as itself without quotes, in any version of it.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*")
_WORDS_OF_YAML = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def license_fields(text: str) -> dict[str, str]:
    """Return the fields of a license: one that the hub knows, or `other` with a name.

    Args:
      text: an identifier, a name, or a URL; empty for none.
    """
    identifier = text.strip().lower()
    if not identifier:
        return {}
    if identifier in LICENSES:
        return {"license": identifier}
    if re.match(r"https?://", identifier):
        return {"license": "other", "license_name": "other", "license_link": text.strip()}
    name = re.sub(r"[^a-z0-9.]+", "-", identifier).strip("-") or "other"
    return {"license": "other", "license_name": name}


def metadata(
    *,
    license_text: str,
    conditional: bool,
    title: str,
    values: Mapping[str, Sequence[tuple[str, float]]],
) -> dict[str, Any]:
    """Return the fields of a card.

    Args:
      license_text: see `license_fields`.
      conditional: whether the generator takes labels.
      title: of the card.
      values: of metrics, by name, for each name of data that they compare with.
    """
    tags = [*_TAGS, *(["class-conditional"] if conditional else [])]
    fields: dict[str, Any] = {
        **license_fields(license_text),
        "library_name": "keras",
        "pipeline_tag": PIPELINE_TAG,
        "tags": tags,
    }
    if values:
        results = [_result(data, of_data) for data, of_data in values.items()]
        fields["model-index"] = [{"name": title, "results": results}]
    return fields


def _result(data: str, values: Sequence[tuple[str, float]]) -> dict[str, Any]:
    # The hub asks for the name of one of its own data sets as the type; others may have any name.
    kind = re.sub(r"[^a-z0-9_-]+", "-", data.lower()).strip("-") or "images"
    return {
        "task": {"type": PIPELINE_TAG},
        "dataset": {"type": kind, "name": data},
        "metrics": [
            {"type": name.split("/")[0], "name": name, "value": value} for name, value in values
        ],
    }


def to_yaml(fields: Mapping[str, Any]) -> str:
    """Return fields as YAML in block style, between the lines that mark the front matter."""
    return "\n".join(["---", *_lines(fields), "---"]) + "\n"


def _lines(value: Any) -> list[str]:
    """Return the lines of a mapping or of a sequence."""
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str | int | float):
                lines.append(f"{key}: {scalar(item)}")
            else:
                # Entries of a sequence may stand below their key without indentation.
                indent = "  " if isinstance(item, Mapping) else ""
                lines += [f"{key}:", *(indent + line for line in _lines(item))]
        return lines
    for item in value:
        first, *rest = [scalar(item)] if isinstance(item, str | int | float) else _lines(item)
        lines += [f"- {first}", *(f"  {line}" for line in rest)]
    return lines


def scalar(value: str | float) -> str:
    """Return a text or a number as YAML: text in double quotes, unless it is plain without."""
    if not isinstance(value, str):
        text = json.dumps(value)
        return text if "." in text else text.replace("e", ".0e")  # without a dot YAML reads text
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
        return value
    return printable(json.dumps(encodable(value), ensure_ascii=False), _escaped)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
