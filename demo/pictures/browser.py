"""Browser of the pictures: headless Chromium that is signed in to Airflow and saves what it shows as a small PNG."""

from __future__ import annotations

import io
import shutil
from types import TracebackType
from typing import Any, Self

from airflow_provider_pai.testing.stack import USER
from demo import ROOT

PICTURES = ROOT / "docs" / "pictures"

_SIZE = {"width": 1280, "height": 760}
_SHARPNESS = 1.5
_COLOURS = 256

# What Airflow's pages remember of a person who likes it light, without the source of each line of a log.
_LIKES = {"theme": "light", "log_wrap": "true", "log_show_timestamp": "false", "log_show_source": "false"}
_REMEMBER = "likes => { for (const [name, value] of Object.entries(likes)) localStorage.setItem(name, value) }"

# Where this machine keeps the project, and what it runs on, is nobody's business.
_HIDE = """names => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const plain = text => Object.entries(names).reduce((text, [path, name]) => text.replaceAll(path, name), text);
  while (walker.nextNode()) {
    const text = plain(walker.currentNode.nodeValue);
    if (text !== walker.currentNode.nodeValue) walker.currentNode.nodeValue = text;
  }
  for (const field of document.querySelectorAll("input, textarea")) field.value = plain(field.value);
}"""
# Round buttons that lie on the log's last lines.
_STYLE = "button[aria-label*='to scroll to'] { visibility: hidden }"

Box = tuple[int, int, int, int]


class Browser:
    """One page of Chromium.

    :param url: of Airflow.
    """

    def __init__(self, url: str, password: str) -> None:
        self._url = url
        self._password = password

    def __enter__(self) -> Self:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        self._browser = self._playwright.chromium.launch(executable_path=chromium)
        self.page: Any = self._browser.new_page(
            viewport=_SIZE, device_scale_factor=_SHARPNESS, color_scheme="light", locale="en-GB", timezone_id="UTC"
        )
        self.page.set_default_timeout(120_000)
        self._sign_in()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.page.screenshot(path=ROOT / "build" / "pictures-failed.png")
        self._browser.close()
        self._playwright.stop()

    def open(self, path: str) -> Any:
        """Open a page of Airflow, or an address of its own, and return it."""
        self.page.goto(path if path.startswith("http") else f"{self._url}{path}")
        return self.page

    @property
    def dialog(self) -> Any:
        """Return the dialog that is open."""
        return self.page.locator("[role=dialog][data-state=open]")

    def widen_grid(self) -> None:
        """Give the grid, left of a run's page, room for all runs."""
        handle = self.page.get_by_role("separator").first.bounding_box()
        self.page.mouse.move(handle["x"] + 1, 600)
        self.page.mouse.down()
        self.page.mouse.move(400, 600, steps=5)
        self.page.mouse.up()

    def save(self, name: str, *, of: Any = None, box: Box | None = None) -> None:
        """Save the page, or one element of it, once it has come to rest.

        :param box: left, top, right and bottom of what is shown of it.
        """
        from PIL import Image

        # Of a dialog that does not fit, the browser would paint what fits.
        self.page.set_viewport_size(_SIZE if of is None else {**_SIZE, "height": 1400})
        self.page.wait_for_timeout(1500)
        self.page.add_style_tag(content=_STYLE)
        self.page.evaluate(_HIDE, {str(ROOT): "~/pai"})
        shot = (of or self.page).screenshot(animations="disabled")
        image = Image.open(io.BytesIO(shot)).convert("RGB")
        if box is not None:
            left, top, *ends = (round(edge * _SHARPNESS) for edge in box)
            image = image.crop((left, top, *map(min, ends, image.size)))
        path = PICTURES / f"{name}.png"
        few = image.quantize(_COLOURS, dither=Image.Dither.NONE)
        few.save(path, optimize=True)

    def _sign_in(self) -> None:
        page = self.open("/")
        page.fill("input[name=username]", USER)
        page.fill("input[name=password]", self._password)
        page.evaluate(_REMEMBER, _LIKES)
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Dags").first.wait_for()
