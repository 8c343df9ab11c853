"""A data dir of people that an encoder was not trained on, for benchmarks that take one.

    python -m benchmarks.held_out_gallery ENCODER.onnx --data MARKET_ROOT --hold-out N GALLERY

Give an encoder that was trained with the same --hold-out and seed. The held-out people's first
crops at each camera are the queries, as in training; the gallery is all other crops of the training
split, so that the people whom the encoder knows are strangers in it. It is calibrated by its own
matches, without a label. Ask it with REIDSEARCH_ENCODER=ENCODER.onnx.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import reidsearch
from benchmarks.first_answer import Case
from reidsearch.types import Split


def write_table(case: Case, path: Path) -> None:
    """Queries and gallery with all that is known of them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "split", "camera", "sequence", "frame", "identity"))
        for split, sightings in ((Split.QUERY, case.probes), (Split.GALLERY, case.gallery)):
            for seen in sightings:
                known = (seen.camera, seen.sequence, seen.frame, seen.identity)
                rows.writerow((seen.path, split, *known))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("gallery", type=Path, help="made here")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hold-out", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    case = Case.of_held_out(asked.data, people=asked.hold_out, seed=asked.seed, among=True)
    with tempfile.TemporaryDirectory() as temporary:
        table = Path(temporary) / "crops.csv"
        write_table(case, table)
        with reidsearch.open(asked.gallery, encoder=asked.encoder, audit="off") as gallery:
            gallery.ingest(table, root=case.root, name="crops", splits=("query", "gallery"))
            gallery.calibrate(source="matches")
    print(f"{len(case.probes)} queries, {len(case.gallery)} gallery images")


if __name__ == "__main__":
    main()
