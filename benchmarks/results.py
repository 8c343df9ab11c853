"""The protocol's numbers for a gallery, as small files: what ``results/`` holds.

    python -m benchmarks.results --data-dir GALLERY --out results/

The gallery holds the test split and the training split, whose identities the transit times of some
variants are learned from. Where it also holds the multi-query split (``ingest DATA --split
multi-query``), that protocol's variants are told, too. It is calibrated twice; what was learned
from the training split stays. results/README.md says what each file is.
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np

import reidsearch
from reidsearch import Evaluation, Gallery, ReidsearchError, Source, Split, UsageError
from reidsearch.encoding.encoder import Encoder
from reidsearch.files import replacing
from reidsearch.ranking.metrics import precision_recall

HEADLINE, CMC, CURVE, PAIRS, PROBES = (
    "headline.json", "cmc.csv", "precision-recall.csv", "camera-pairs.csv", "probes.csv",
)  # fmt: skip
PLAIN, MEANS, RERANK, EXPANDED = "plain", "camera-means", "rerank", "expanded"
MULTI = "multi-query"
CMC_LENGTH = 50
CURVE_STEPS = 100


class Headline(TypedDict):
    """What headline.json says: of each variant what ``reidsearch evaluate --json`` prints."""

    reidsearch: str
    encoder: dict[str, str]
    variants: dict[str, dict[str, object]]


def evaluations(gallery: Gallery) -> Iterator[tuple[str, Evaluation]]:
    """Each variant's name and evaluation. Calibrates the gallery, at last from its training split.

    Raises UsageError where it has none, and as ``Gallery.evaluate`` and ``calibrate`` do.
    """
    splits = {count.split for count in gallery.status().images}
    if Split.TRAIN not in splits:
        raise UsageError(
            "the gallery holds no training split, whose identities transit times are learned from",
            hint="Add it with: reidsearch ingest DATA --split train",
        )
    yield PLAIN, gallery.evaluate(camera_pairs=True)
    yield MEANS, gallery.evaluate(camera_means=True)
    yield RERANK, gallery.evaluate(rerank=True)
    yield EXPANDED, gallery.evaluate(expand=True)
    for source in (Source.MATCHES, Source.TRAIN):
        gallery.calibrate(source=source)
        yield f"times-{source}", gallery.evaluate(spatio_temporal=True)
        both = gallery.evaluate(spatio_temporal=True, rerank=True)
        yield f"times-{source}-rerank", both
        expanded = gallery.evaluate(spatio_temporal=True, expand=True)
        yield f"times-{source}-expanded", expanded
    if Split.MULTI_QUERY in splits:
        yield MULTI, gallery.evaluate(multi_query=True)
        yield f"{MULTI}-expanded", gallery.evaluate(multi_query=True, expand=True)
        both = gallery.evaluate(multi_query=True, expand=True, spatio_temporal=True)
        yield f"{MULTI}-times-{Source.TRAIN}-expanded", both


def files(variants: Mapping[str, Evaluation], encoder: Encoder) -> dict[str, str]:
    """Each file's text, by its name."""
    plain = variants[PLAIN]
    cmc = [each.per_probe.cmc(CMC_LENGTH) for each in variants.values()]
    curves = [precision_recall(each.ranks, steps=CURVE_STEPS) for each in variants.values()]
    pairs = ((*cameras, f"{mean:.6f}") for cameras, mean in plain.camera_pairs.items())
    return {
        HEADLINE: json.dumps(headline(variants, encoder), indent=1) + "\n",
        CMC: table(("rank", *variants), numbered(cmc, unit=1)),
        CURVE: table(("recall", *variants), numbered(curves, unit=1 / CURVE_STEPS)),
        PAIRS: table(("probe_camera", "gallery_camera", "mAP"), pairs),
        PROBES: table(("path", "first_hit", "AP", "AP_trapezoid", "INP"), probes(plain)),
    }


def headline(variants: Mapping[str, Evaluation], encoder: Encoder) -> Headline:
    """The numbers of each variant, and what they are the numbers of."""
    scores = {
        # The same gallery has the same numbers every time, but for these.
        name: {key: value for key, value in each.document().items() if key != "seconds"}
        for name, each in variants.items()
    }
    return {
        "reidsearch": reidsearch.__version__,
        "encoder": {"name": encoder.name, "sha256": encoder.fingerprint},
        "variants": scores,
    }


def numbered(columns: Iterable[np.ndarray], *, unit: float) -> Iterator[tuple[str, ...]]:
    """Rows of these columns, behind the multiples of ``unit``."""
    for row, values in enumerate(np.stack(list(columns), axis=1), start=1):
        yield f"{row * unit:g}", *(f"{value:.6f}" for value in values)


def probes(plain: Evaluation) -> Iterator[tuple[str, ...]]:
    """Of each probe with a positive its path and numbers, in the paths' order."""
    each = plain.per_probe
    for row in sorted(np.flatnonzero(each.counted).tolist(), key=plain.probe_paths.__getitem__):
        numbers = (each.ap[row], each.ap_trapezoid[row], each.inp[row])
        yield plain.probe_paths[row], str(each.first[row] + 1), *(f"{n:.6f}" for n in numbers)


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A CSV file's text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def write(gallery: Gallery, out: Path) -> None:
    """Evaluate the gallery and write the files to ``out``."""
    variants = {}
    for name, evaluation in evaluations(gallery):
        print(f"{name}: R1 {evaluation.cmc[1]:.2%}  mAP {evaluation.mAP:.2%}", flush=True)
        variants[name] = evaluation
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files(variants, Encoder(gallery.config.encoder)).items():
        with replacing(out / name) as partial:
            partial.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        with reidsearch.open(arguments.data_dir) as gallery:
            write(gallery, arguments.out)
    except ReidsearchError as error:
        hint = f"\nTry: {error.hint}" if error.hint else ""
        print(f"Error: {error.message}{hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
