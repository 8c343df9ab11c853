"""A real browser for tests: the system's Chromium, and all that it asks for and complains of."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)
WIDE, NARROW = (1360, 900), (360, 740)
LONG = 30_000  # milliseconds after which what does not come is given up

expect.set_options(timeout=LONG)


@contextmanager
def browsing() -> Iterator[Browser]:
    """The browser, without a window. Its sandbox needs rights that containers do not give."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open, the ``requests`` that it made and what the browser complained of."""

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def choose(self, *files: Path, another: bool = False) -> None:
        """Choose pictures, as the file dialog does."""
        self.page.set_input_files("#choose-another" if another else "#choose", list(files))

    def drop(self, *files: Path) -> None:
        """Drop files from the desktop onto the middle of the page."""
        session = self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        place = {"x": 600, "y": 300, "data": data}
        session.send("Input.dispatchDragEvent", {"type": "dragEnter", **place})
        expect(self.page.locator("body.dropping")).to_be_attached()  # else nothing takes the drop
        session.send("Input.dispatchDragEvent", {"type": "dragOver", **place})
        session.send("Input.dispatchDragEvent", {"type": "drop", **place})

    def paste(self, file: Path) -> None:
        """Copy a PNG file's picture, and press Control and V."""
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page.evaluate(
            """async (data) => {
              const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
              const blob = new Blob([bytes], { type: "image/png" });
              await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
            }""",
            base64.b64encode(file.read_bytes()).decode(),
        )
        self.page.keyboard.press("Control+V")

    def hits(self, count: int | None = None) -> list[str]:
        """The ids of the hits in their order, once the answer (of ``count`` hits) is there."""
        found = self.page.locator("#found .hits .card")
        if count is None:
            expect(found.first).to_be_visible()
        else:
            expect(found).to_have_count(count)
        self.settled()
        buttons = self.page.locator("#found .hits [data-same]").all()
        return [one.get_attribute("data-same") or "" for one in buttons]

    def settled(self) -> None:
        """Wait until no answer is waited for."""
        expect(self.page.locator("#found:not([aria-busy])")).to_be_attached()

    def problem(self) -> str:
        """What went wrong, as the page tells it."""
        box = self.page.locator("#problem")
        expect(box).to_be_visible()
        return box.inner_text()


@contextmanager
def visiting(
    browser: Browser, url: str, *, dark: bool = False, size: tuple[int, int] = WIDE
) -> Iterator[Visit]:
    """A window at a service's page, of nobody who was here before. At its end nothing was asked of
    any other host, and the browser had nothing to complain of: no script failed, and nothing was
    stopped by the content security policy."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light",
        viewport={"width": size[0], "height": size[1]},
        has_touch=size == NARROW,
    )
    page = context.new_page()
    page.set_default_timeout(LONG)
    visit = Visit(page, url)

    def said(message: ConsoleMessage) -> None:
        # A status of 400 and more is told by the page, too, and tests look there.
        if message.type in ("error", "warning") and "Failed to load" not in message.text:
            visit.complaints.append(message.text)

    page.on("request", lambda request: visit.requests.append(request.url))
    page.on("console", said)
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.goto(url)
    yield visit
    hosts = {urlsplit(one).netloc for one in visit.requests if one.startswith("http")}
    assert hosts == {urlsplit(url).netloc}
    assert not visit.complaints
    context.close()
