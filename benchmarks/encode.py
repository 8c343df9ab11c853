"""Images a second: ``ingest`` against a plain PyTorch eager extractor of the same network.

    python -m benchmarks.encode [FOLDER_OF_CROPS]

Both start from the same JPEG files and take turns, several rounds; the last line is the median of
the rounds' ratios. The eager extractor does what torchreid's FeatureExtractor does: Pillow,
torchvision's Resize, ToTensor and Normalize, batches of 32, ``torch.no_grad``.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch
from PIL import Image
from torchvision import transforms

from reidsearch import config, datasets, ingest
from reidsearch.demo import pedestrians
from reidsearch.encoding.encoder import Encoder
from reidsearch.session import Session
from reidsearch.types import Dataset
from train.augment import MEAN, STD
from train.network import Siamese

EAGER_BATCH = 32
SIDE = 96  # as the shipped encoder's recipe


def eager(paths: list[Path], size: tuple[int, int]) -> float:
    """Images a second of the eager extractor."""
    network = Siamese(identities=751, side=SIDE).eval()
    usual = transforms.Compose(
        [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )
    with torch.no_grad():
        network(torch.zeros(EAGER_BATCH, 3, *size))  # warm up
        started = time.perf_counter()
        for start in range(0, len(paths), EAGER_BATCH):
            batch = [
                usual(Image.open(p).convert("RGB")) for p in paths[start : start + EAGER_BATCH]
            ]
            network(torch.stack(batch))
        return len(paths) / (time.perf_counter() - started)


def ours(dataset: Dataset) -> float:
    """Images a second of a whole ingest, stores included, into a fresh gallery."""
    with tempfile.TemporaryDirectory() as home:
        settings = config.load({"data_dir": home})
        with closing(Session(settings, purpose="benchmark")) as session:
            return ingest.ingest(session, dataset).images_per_second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="crops; drawn ones by default")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as drawn:
        folder = arguments.folder
        if folder is None:
            folder = Path(drawn)
            pedestrians.draw_dataset(folder, identities=200)
        found = datasets.read(folder)
        dataset = Dataset(found.name, found.root, found.sightings[: arguments.images])
        paths = [dataset.root / s.path for s in dataset.sightings]
        size = Encoder(config.load({}).encoder).size
        ratios = []
        for _ in range(arguments.rounds):
            mine, theirs = ours(dataset), eager(paths, size)
            ratios.append(mine / theirs)
            print(f"ingest {mine:.0f} images/s, eager {theirs:.0f}, ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f} over {len(paths)} images")


if __name__ == "__main__":
    main()
