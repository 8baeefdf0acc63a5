"""The docs as a site: built without a warning, complete, and of use without a network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import sync_playwright

from browser.browser_kit import chromium, in_ci, launch

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    done = subprocess.run(
        [Path(sys.executable).parent / "zensical", "build", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    # A link to a page, a heading or a picture that does not exist ends a strict build.
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def named(part: object) -> list[str]:
    """The paths in the navigation, at any depth."""
    if isinstance(part, str):
        return [part]
    parts = part.values() if isinstance(part, dict) else part
    return [path for one in parts for path in named(one)]


def test_each_page_is_in_the_navigation(site: Path) -> None:
    listed = named(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert sorted(listed) == sorted(pages)
    for path in listed:
        assert site.joinpath(path).with_suffix(".html").is_file()


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        html = page.read_text("utf-8")
        for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", html):
            assert not re.search(r'(?:src|href)="?(?:https?:)?//', tag), (page, tag)


@pytest.mark.skipif(not chromium() and not in_ci(), reason="no Chromium on this machine")
def test_the_search_finds_a_page_without_a_network(site: Path) -> None:
    asked: list[str] = []
    with sync_playwright() as playwright, launch(playwright) as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("idempotency")
        page.get_by_text("Send a request again").first.wait_for()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
