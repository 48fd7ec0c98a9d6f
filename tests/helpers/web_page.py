"""The page of --format=web in a browser: what its tests ask it, and its formulas in NumPy."""

import json

import numpy as np
import pytest

from pgan_tf.generating.truncation import truncated_function
from pgan_tf.runs.grids import to_uint8
from tests.helpers.browser import find_browser
from tests.helpers.runtime_web import find_runtime

RUNTIME = find_runtime()
# Marks of tests that open the page.
IN_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_browser(), reason="no Chromium; `make browser` installs it"),
    pytest.mark.skipif(not RUNTIME, reason="no ONNX Runtime Web; `make browser` fetches it"),
]
NAMES = ["cat", "dog <b>", "ant"]
# The browser's own warnings: WebGPU finds no GPU; this test reads a canvas several times.
NOT_OURS = ("No available adapters.", "Canvas2D: Multiple readback operations")


def complaints(tab):
    return [text for text in tab.complaints() if not text.startswith(NOT_OURS)]


def open_page(tab, address):
    tab.resize(1200, 900)
    tab.open(address)
    settle(tab)


def settle(tab):
    """Waits until all that was asked for is drawn."""
    tab.wait_for("Boolean(window.pgan?.isIdle || document.querySelector('#message').textContent)")


def drawn(tab, **options):
    """The page's image of exact inputs, as bytes [h w c]."""
    image = tab.evaluate(
        f"window.pgan.draw({json.dumps(options)})"
        ".then(({values, ...size}) => ({...size, values: [...values]}))"
    )
    shape = [image["height"], image["width"], image["channels"]]
    return to_uint8(np.reshape(np.array(image["values"], np.float32), shape))


def picture(tab):
    """The canvas [h w 4] uint8."""
    size, values = tab.evaluate(
        "(() => { const c = document.getElementById('picture');"
        "return [[c.height, c.width, 4],"
        "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; })()"
    )
    return np.array(values, np.uint8).reshape(size)


def set_input(tab, name, value, event="input"):
    """Moves a slider, or types into a field, as a person does."""
    tab.evaluate(
        f"(e => {{ e.value = {json.dumps(value)};"
        f"e.dispatchEvent(new Event('{event}', {{bubbles: true}})); }})"
        f"(document.getElementById('{name}'))"
    )
    settle(tab)


def value_of(tab, name):
    return float(tab.evaluate(f"document.getElementById('{name}').value"))


def close(first, second):
    """At most one of 255 levels apart."""
    return np.abs(first.astype(int) - second.astype(int)).max() <= 1


def expected(model, latents, label=None, truncation=1.0):
    labels = None if label is None else np.eye(3, dtype=np.float32)[[label]]
    latents = np.asarray(latents, np.float32)[np.newaxis]
    return to_uint8(truncated_function(model, truncation)(latents, labels))[0]


def normals(seed, size):
    """The page's latents of a seed: sfc32 and Box-Muller, written anew."""
    mask = 2**32 - 1
    a, b, c, d = seed, 0x9E3779B9, 0x243F6A88, 1
    bits = []
    for _ in range(20 + size + size % 2):
        total = (a + b + d) & mask
        d = (d + 1) & mask
        a = b ^ (b >> 9)
        b = (c + (c << 3)) & mask
        c = (((c << 21) | (c >> 11)) + total) & mask
        bits.append(total)
    uniform = np.reshape(bits[20:], [-1, 2]) / 2.0**32
    radius = np.sqrt(-2 * np.log(uniform[:, 0] + 2.0**-32))
    angle = 2 * np.pi * uniform[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()[:size]


def between(first, second, mix):
    """Spherical interpolation, by rotation in the plane of two vectors."""
    a, b = (x / np.linalg.norm(x) for x in (first, second))
    angle = np.arccos(a @ b)
    across = b - (a @ b) * a
    across /= np.linalg.norm(across)
    return np.cos(mix * angle) * a + np.sin(mix * angle) * across


def open_latents(tab, path, latents):
    """Saves latents and chooses their file."""
    np.save(path, latents)
    tab.choose_files("#latents-file", path)
    tab.wait_for(f"document.getElementById('opened-name').textContent.startsWith('{path.name}')")
    settle(tab)


def wait_for_file(tab, file):
    for _ in range(2000):
        if file.is_file():
            return
        tab.evaluate("new Promise(keep => setTimeout(keep, 20))")
    raise AssertionError(f"{file} was not saved")


def text_of(tab, name):
    return tab.evaluate(f"document.getElementById('{name}').innerText")


def is_open(tab):
    return not tab.evaluate("document.getElementById('opened').hidden")
