"""The page in a real browser: nothing is fetched, nothing fails, nothing is wider than the screen, and axe finds nothing."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.evaluation.raw import PAIRS
from engine.evaluation.truth import DemographicGroups
from engine.reports.evaluation.evaluated import evaluate
from engine.reports.evaluation.folder import write_evaluation
from engine.reports.markup import Markup
from tests.support.searches import drawn, together

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if find_spec("playwright") is None or find_spec("axe_playwright_python") is None or found is None:
        pytest.skip(f"no browser: expected playwright, axe-playwright-python and one of {', '.join(BROWSERS)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems at two sizes, groups, and names that are long, strange and hostile."""
    folder = tmp_path_factory.mktemp("report")
    parts = [
        drawn(people=150, each=1, k=k, system=name, shift=s) for name, s in (("a<b>", 0), ("b" * 40, 0.1)) for k in (100, 300)
    ]
    groups = {"site of the camera": {f"{kind}{at}": "<i>north</i>" if at % 2 else "south" for kind in "ps" for at in range(150)}}
    made = evaluate(together(*parts), PAIRS.empty_table(), asked=0.1, groups=DemographicGroups("identity", groups))
    write_evaluation(folder, made, {"made": "Monday", "figures": []}, Markup(""), "Tuesday")
    return folder / "report.html"


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fetches_nothing_and_fits(browser: Any, report: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(report.as_uri())
    assert asked == [report.as_uri()]
    assert errors == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # The five lines are on the first screen.
    box = page.locator("dl.answers").first.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 900
    assert page.evaluate("document.images.length + document.scripts.length") == 0
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, report: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(bypass_csp=True, color_scheme=scheme)  # axe is a script, which the page forbids
    page = context.new_page()
    page.goto(report.as_uri())
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    context.close()
