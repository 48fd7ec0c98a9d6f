"""A browser, and pages of two generators."""

import pytest

from pgan_tf.exporting import export_generator
from tests.helpers.browser import open_browser, serve
from tests.helpers.generators import save_tiny_generator
from tests.helpers.web_page import NAMES, RUNTIME, complaints, open_page
from tfrecords_tools.shape import Base


@pytest.fixture(scope="module")
def tab():
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A page of a conditional generator, and the generator."""
    directory = tmp_path_factory.mktemp("conditional")
    model = save_tiny_generator(
        directory / "run" / "networks" / "generator-000012.keras",
        resolution=16,
        label_size=3,
        description={"label_names": NAMES, "images_seen": 12000},
    )
    export = export_generator(
        directory / "run", directory / "page", file_format="web", runtime=str(RUNTIME)
    )
    return export.path, model


@pytest.fixture(scope="module")
def rectangle(tmp_path_factory):
    """A page of a generator of transparent rectangles, and the generator."""
    directory = tmp_path_factory.mktemp("it's a page")
    options = {"base": Base(height=5, width=9)}
    model = save_tiny_generator(directory / "g.keras", channels=4, options=options)
    export = export_generator(
        directory / "g.keras", directory / "page", file_format="web", runtime=str(RUNTIME)
    )
    return export.path, model


@pytest.fixture
def page(tab, conditional):
    """The conditional generator's page, ready; it must not complain."""
    with serve(conditional[0]) as address:
        open_page(tab, address)
        yield tab
        assert complaints(tab) == []
        assert {url[: len(address)] for url in tab.requests()} == {address}
