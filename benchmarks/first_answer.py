"""What ``trace`` finds in a gallery without labels: an operator's first answer.

    python -m benchmarks.first_answer --data MARKET_ROOT --probes 40
    python -m benchmarks.first_answer --data MARKET_ROOT --encoder ENCODER.onnx --hold-out N

The first line takes Market-1501's gallery and drawn queries; the second people held out from the
training of an encoder, as ``python -m train --hold-out N`` with the same seed does, alone or
``--among`` the others. The crops are ingested from a table without identities, cameras and frames
known, and ``trace`` is asked as people ask it, or with each of ``--shares``. Identities are only
looked at to count: what is shown over all probes, how much of it is false, and how many of the
right crops (of the same person, from any camera) are found; and the means over probes. Junk, which
the protocol leaves out, counts in a column of its own; distractors are false. ``--labelled``
tells the gallery who is who, and calibrates it by that. Prints a Markdown table.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import reidsearch
from reidsearch import datasets
from reidsearch.config import DEFAULT_ENCODER
from reidsearch.gallery import Gallery
from reidsearch.hashes import image_id
from reidsearch.learning import calibrate
from reidsearch.names import JUNK
from reidsearch.search import trace
from reidsearch.search.first_trace import LEARNED_AT_ONCE
from reidsearch.search.inquiry import BEST, PLAIN, Wish
from reidsearch.search.probe import Probe
from reidsearch.search.question import Question
from reidsearch.search.trace import Trace
from reidsearch.search.yardstick import FALSE_SHARE_IN_CROWD
from reidsearch.types import Sighting, Split

NEVER = range(0)  # a gallery of such a size is calibrated by its first trace


@dataclass(frozen=True)
class Case:
    """``probes`` to be found in a ``gallery``, all below one folder."""

    root: Path
    probes: Sequence[Sighting]
    gallery: Sequence[Sighting]

    @classmethod
    def of_test_split(cls, path: Path) -> "Case":
        found = datasets.read(path, splits=[Split.QUERY, Split.GALLERY])
        ordered = sorted(found.sightings, key=lambda seen: image_id(found.name, seen.path))
        probes = [seen for seen in ordered if seen.split is Split.QUERY]
        return cls(found.root, probes, [s for s in ordered if s.split is Split.GALLERY])

    @classmethod
    def of_held_out(cls, path: Path, *, people: int, seed: int, among: bool) -> "Case":
        from train import data

        found = datasets.read(path, splits=[Split.TRAIN])
        by_path = {seen.path: seen for seen in found.sightings}
        everyone = data.people(data.load(path, Split.TRAIN, height=8, width=4))
        others, probes, gallery = data.hold_out(everyone, people, seed=seed)
        strangers = others.paths if among else []
        return cls(
            found.root,
            [by_path[one] for one in probes.paths],
            [by_path[one] for one in (*gallery.paths, *strangers)],
        )

    def write_table(self, path: Path, *, labelled: bool) -> None:
        """The gallery, without identities or with them."""
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "camera", "sequence", "frame", "identity"])
            for seen in self.gallery:
                person = seen.identity if labelled else ""
                rows.writerow([seen.path, seen.camera, seen.sequence, seen.frame, person])


@dataclass
class Count:
    """Over all probes: what was ``shown``, how much of it was ``right`` or ``junk``, and how much
    was ``wanted``; ``false`` and ``found`` are shares by probe."""

    shown: int = 0
    right: int = 0
    junk: int = 0
    wanted: int = 0

    def __post_init__(self) -> None:
        self.false: list[float] = []
        self.found: list[float] = []

    def add(self, probe: Sighting, traced: Trace, case: Case, identity: dict[str, str]) -> None:
        hits = [hit for stay in traced.stays for hit in stay.hits]
        shown = [identity[str(Path(hit.path).relative_to(case.root))] for hit in hits]
        junk = shown.count(JUNK)
        right = shown.count(probe.identity or "")
        wanted = sum(seen.identity == probe.identity for seen in case.gallery)
        self.shown += len(shown) - junk
        self.right += right
        self.junk += junk
        self.wanted += wanted
        self.false.append(1 - right / max(len(shown) - junk, 1) if len(shown) > junk else 0.0)
        self.found.append(right / max(wanted, 1))

    def row(self, name: str) -> str:
        false = self.shown - self.right
        return (
            f"| {name} | {self.shown} | {false} ({false / max(self.shown, 1):.1%}) | {self.right} "
            f"({self.right / max(self.wanted, 1):.1%}) | {self.wanted} | {self.junk} "
            f"| {np.mean(self.false):.1%} | {np.mean(self.found):.1%} |"
        )


def measure(
    gallery: Gallery, case: Case, probes: Sequence[Sighting], shares: Sequence[float]
) -> None:
    """Print a row for each way to ask, or for each of the shares that may be expected to be
    false."""
    identity = {seen.path: seen.identity or "" for seen in case.gallery}

    def named(path: Path) -> Probe:
        return Probe.of(path)

    def unnamed(path: Path) -> Probe:
        """Of which nothing but its pixels is known."""
        return Probe.of(path.read_bytes())

    print("| trace | shown | false | right | of | junk | false by probe | right by probe |")
    print("|---|---|---|---|---|---|---|---|")
    usual = FALSE_SHARE_IN_CROWD
    ways: list[tuple[str, Callable[[Path], Probe], Wish, range, float]] = [
        ("nothing learned", named, BEST, NEVER, usual),
        ("learned by the first trace, probes' times known", named, BEST, LEARNED_AT_ONCE, usual),
        ("learned, probes' times not known", unnamed, BEST, LEARNED_AT_ONCE, usual),
        ("learned, `--spatio-temporal` alone", named, Wish(False, True), LEARNED_AT_ONCE, usual),
        ("learned, `--plain`", named, PLAIN, LEARNED_AT_ONCE, usual),
    ]
    if shares:
        ways = [(f"share {one:g}", named, BEST, LEARNED_AT_ONCE, one) for one in shares]
    session = gallery._session
    encoder_tells = session.encoder.thresholds is not None
    if not encoder_tells or calibrate.known(session.collection()) is not None:
        ways = [way for way in ways if way[3] is not NEVER]
    for name, read, wish, sizes, share in ways:
        count = Count()
        started = time.perf_counter()
        first = 0.0
        for probe in probes:
            traced = trace.trace(
                session,
                Question((read(case.root / probe.path),)),
                wish=wish,
                learned_at_once=sizes,
                false_share=share,
            )
            first = first or time.perf_counter() - started
            count.add(probe, traced, case, identity)
        seconds = (time.perf_counter() - started - first) / max(len(probes) - 1, 1)
        print(count.row(name), f"first {first:.1f} s, then {seconds * 1000:.0f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, default=DEFAULT_ENCODER)
    parser.add_argument("--probes", type=int, default=40)
    parser.add_argument("--draw", type=int, default=0, help="the seed that probes are drawn with")
    parser.add_argument("--hold-out", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--among", action="store_true")
    parser.add_argument("--shares", type=float, nargs="*", default=[], help="expected to be false")
    parser.add_argument("--gallery", type=Path, help="keep it here, and take it from here")
    parser.add_argument("--labelled", action="store_true")
    asked = parser.parse_args()
    case = Case.of_test_split(asked.data)
    if asked.hold_out:
        case = Case.of_held_out(
            asked.data, people=asked.hold_out, seed=asked.seed, among=asked.among
        )
    drawn = np.random.default_rng(asked.draw).permutation(len(case.probes))[: asked.probes]
    with tempfile.TemporaryDirectory() as temporary:
        home = asked.gallery or Path(temporary) / "gallery"
        table = Path(temporary) / "crops.csv"
        case.write_table(table, labelled=asked.labelled)
        with reidsearch.open(home, encoder=asked.encoder, audit="off") as gallery:
            started = time.perf_counter()
            done = gallery.ingest(table, root=case.root, name="crops")
            seconds = time.perf_counter() - started
            print(f"{done.found} crops ingested in {seconds:.0f} s; {len(drawn)} probes\n")
            if asked.labelled:
                gallery.calibrate(source="gallery")
            measure(gallery, case, [case.probes[at] for at in np.sort(drawn)], asked.shares)


if __name__ == "__main__":
    main()
