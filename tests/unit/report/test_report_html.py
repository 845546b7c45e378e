import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import pytest
from matplotlib.image import imread

from ntlbg_model.config import Metric
from ntlbg_service.domain.measures import MEASURES
from ntlbg_service.report.compare import compare
from ntlbg_service.report.html import render_report
from ntlbg_service.report.results import GroupResult, SuiteResult, VariantResult
from ntlbg_service.report.strips import SHOWN, KeptFrames, moments, shown_frames, strip_view
from tests.support import made_up_suite as made_up

VOID = {"meta", "img", "source", "br"}


class Page(HTMLParser):
    """Checks nesting; gathers tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(compare(made_up.suite()), made_up.provenance(), [made_up.strip()])


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_file_asks_for_nothing_else(html: str, page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe"}
        for name in ("src", "srcset", "href"):
            assert (attributes.get(name) or "#").startswith(("data:", "#"))
    assert "@import" not in html and "url(" not in html and "http" not in html


def test_every_picture_can_be_decoded_and_is_described(page: Page) -> None:
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 2 * 4 + 2 * 16
    for attributes in images:
        assert attributes["alt"]
        kind, data = (attributes["src"] or "").split(";base64,")
        assert imread(BytesIO(b64decode(data)), format=kind.rpartition("/")[2]).size


def test_every_plot_has_a_dark_twin(page: Page) -> None:
    dark = [attributes for tag, attributes in page.tags if tag == "source"]
    assert len(dark) == 8
    assert {attributes["media"] for attributes in dark} == {"(prefers-color-scheme: dark)"}


def test_links_lead_somewhere(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {(a["href"] or "")[1:] for tag, a in page.tags if tag == "a"}
    assert links == set(ids)


def test_numbers_reservations_and_provenance_are_there(html: str) -> None:
    for text in (
        "52.8 %",
        "1 of 3",
        "Unfinished: all_frames has 1 of 3 runs (failed, queued).",
        "mixed numerics: bf16, fp32",
        "out of memory at step 3",
        "0.1.0 (f0ae1dd)",
        "5.17.0",
    ):
        assert text in html
    words = re.sub(r"base64,[^\"]*", "", html)
    assert "None" not in words and "nan" not in re.findall(r"[a-z]+", words)


def test_what_users_wrote_is_escaped(html: str) -> None:
    assert "blue &lt;b&gt;" in html
    assert "blue <b>" not in html


def test_a_suite_without_results_still_renders() -> None:
    waiting = VariantResult(name="base", runs=(made_up.waiting("r", 1),), datasets=("needles",))
    group = GroupResult(name="group", baseline="base", variants=(waiting,))
    html = render_report(compare(SuiteResult(name="s", groups=(group,))), made_up.provenance())
    assert "nothing is compared yet" in html
    assert "<img" not in html
    Page(html)


SOME = ("accuracy", "seconds_per_question")
"""More of the better, and less of it; the rest is in `make test-all`."""


@pytest.mark.parametrize(
    "metric",
    [pytest.param(each, marks=[] if each in SOME else [pytest.mark.long]) for each in MEASURES],
)
def test_a_report_by_any_measure_is_whole(metric: Metric) -> None:
    html = render_report(compare(replace(made_up.suite(), metric=metric)), made_up.provenance())
    Page(html)
    words = re.sub(r"base64,[^\"]*", "", html)
    assert "None" not in words and "nan" not in re.findall(r"[a-z]+", words)
    judged = f"This suite is judged by <strong>{MEASURES[metric].words}</strong>"
    assert (judged in html) is (metric != "accuracy")
    assert f'aria-label="{MEASURES[metric].words.capitalize()} on needles"' in html


def test_what_nobody_asks_to_see_is_not_drawn() -> None:
    few = replace(made_up.variant("base", 0.5), metrics=("accuracy",))
    group = GroupResult(name="group", baseline="base", variants=(few,))
    html = render_report(compare(SuiteResult(name="s", groups=(group,))), made_up.provenance())
    assert "Needle recall" not in html and "Visual tokens" not in html
    assert "Failed questions" in html


def test_moments_are_runs_of_consecutive_frames() -> None:
    assert moments((7, 3, 4, 5, 9)) == [(3, 5), (7, 7), (9, 9)]
    assert moments(()) == []


def test_the_strip_says_what_was_seen_and_answered() -> None:
    uniform, ntlbg, failed = strip_view(made_up.strip()).rows
    assert (uniform.verdict, uniform.answer) == ("wrong", "A. red")
    assert uniform.summary == "16 frames kept, 0 of 2 gold moments seen"
    assert (ntlbg.verdict, ntlbg.summary) == ("right", "16 frames kept, 2 of 2 gold moments seen")
    assert (failed.verdict, failed.thumbnails) == ("failed", ())
    secret = replace(made_up.strip(), gold=None, gold_frames=())
    assert strip_view(secret).rows[0].verdict == "answered"
    assert strip_view(secret).rows[0].summary == "16 frames kept, no gold moments"


def test_few_thumbnails_stand_for_many_frames_and_gold_ones_come_first() -> None:
    frames = tuple(range(200))
    images = {frame: made_up.picture(frame, False) for frame in frames}
    kept = KeptFrames(answer=0, frames=frames, thumbnails=images)
    shown = shown_frames(kept, gold={3, 4})
    assert len(shown) == SHOWN and shown == sorted(set(shown))
    assert {3, 4} <= set(shown)
    assert max(shown) > 150
