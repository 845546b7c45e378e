"""The report in a real browser: wide and narrow, light and dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntlbg_service.report.compare import compare
from ntlbg_service.report.html import render_report
from tests.support import made_up_suite as made_up

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(
        render_report(compare(made_up.suite()), made_up.provenance(), [made_up.strip()])
    )
    return file


@pytest.fixture(params=[("light", 1200), ("dark", 1200), ("light", 360), ("dark", 360)])
def opened(
    request: pytest.FixtureRequest, browser: "Browser", report: Path
) -> Iterator[tuple["Page", str]]:
    scheme, width = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
    )
    try:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("requestfailed", lambda one: complaints.append(one.url))
        page.goto(report.as_uri())
        yield page, scheme
        assert complaints == []
    finally:
        context.close()


def test_the_page_never_scrolls_sideways_and_shows_every_picture(
    opened: tuple["Page", str],
) -> None:
    page, _ = opened
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    sizes = page.evaluate("Array.from(document.images, image => image.naturalWidth)")
    assert len(sizes) == 40 and all(sizes)


def test_page_and_plots_follow_the_colour_scheme(opened: tuple["Page", str]) -> None:
    page, scheme = opened
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    dark = page.evaluate(
        "Array.from(document.querySelectorAll('picture'),"
        " p => p.querySelector('img').currentSrc === p.querySelector('source').srcset)"
    )
    assert len(dark) == 8 and set(dark) == {scheme == "dark"}
