"""The page, from a picture that was chosen to the answer that is drawn, beside the library.

    reidsearch ingest DATA && python -m benchmarks.page DATA/query

A service in a process of its own, and the system's Chromium without a window. Pictures are chosen
one after the other; a clock runs from the file dialog's answer until the browser has put the last
of the hits' pictures on the screen, as it tells itself (Element Timing). In turn the library
answers the same questions in this process, warm. Told are medians, 95th percentiles and the median
of the ratios of rounds. The gallery is the one that the settings name (REIDSEARCH_DATA_DIR).
"""

import argparse
import statistics
import time
from pathlib import Path

import reidsearch
from benchmarks.serve import serving
from tests.browser import browsing, visiting

HITS = 20  # of the page's answers
WARM = 8  # questions that are not counted

CLOCK = """() => {
  const found = document.getElementById("found");
  let begun = 0;
  addEventListener("change", ({ target }) => {
    if (target.type === "file") begun = performance.now();
  }, { capture: true });
  window.drawn = [];
  new PerformanceObserver((list) => {
    for (const { identifier, renderTime } of list.getEntries()) {
      const answer = window.drawn[identifier];
      answer.shown = Math.max(answer.shown ?? 0, renderTime - answer.begun);
    }
  }).observe({ type: "element" });
  new MutationObserver(() => {
    const hits = found.querySelectorAll(".hits img");
    if (!hits.length) return;
    for (const one of hits) one.setAttribute("elementtiming", window.drawn.length);
    window.drawn.push({ begun });
  }).observe(found, { childList: true });
}"""
SHOWN = "window.drawn.filter((one) => one.shown).length"


def library(probes: list[Path]) -> list[float]:
    """Milliseconds of each question."""
    with reidsearch.open() as gallery:
        seconds = []
        for probe in probes[:WARM] + probes:
            data = probe.read_bytes()
            started = time.perf_counter()
            gallery.query(data, name=probe.name, top_k=HITS)
            seconds.append(time.perf_counter() - started)
    return [1000 * one for one in seconds[WARM:]]


def page(probes: list[Path]) -> list[float]:
    """Milliseconds of each question."""
    with serving() as (url, _), browsing() as browser, visiting(browser, url) as visit:
        visit.page.wait_for_selector("#filter-fields:not([aria-busy])")
        visit.page.evaluate(CLOCK)
        for number, probe in enumerate(probes[:WARM] + probes, start=1):
            visit.choose(probe)
            while visit.page.evaluate(SHOWN) < number:
                time.sleep(0.05)  # who asks all the time slows the page down
        drawn: list[float] = visit.page.evaluate("window.drawn.map((one) => one.shown)")
    return drawn[WARM:]


def told(what: str, took: list[float]) -> float:
    median = statistics.median(took)
    p95 = statistics.quantiles(took, n=20)[-1]
    print(f"{what}: median {median:.1f} ms, p95 {p95:.1f} ms", flush=True)
    return median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="pictures to search for")
    parser.add_argument("--probes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    files = sorted(given.folder.glob("*.jpg"))
    probes = files[:: max(1, len(files) // given.probes)][: given.probes]
    pairs = []
    for _ in range(given.rounds):
        alone = told("library", library(probes))
        drawn = told(f"page, {HITS} hits drawn", page(probes))
        pairs.append((alone, drawn))
    ratio = statistics.median(drawn / alone for alone, drawn in pairs)
    more = statistics.median(drawn - alone for alone, drawn in pairs)
    print(f"the page against the library: {ratio:.2f}x, {more:.0f} ms more")


if __name__ == "__main__":
    main()
