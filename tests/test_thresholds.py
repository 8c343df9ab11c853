"""Thresholds that encoders bring, and which of them lets through how much."""

import json
from pathlib import Path

import numpy as np
import pytest

from reidsearch.config import DEFAULT_ENCODER
from reidsearch.encoding import thresholds
from reidsearch.encoding.encoder import Encoder, fingerprint
from reidsearch.encoding.thresholds import Thresholds
from reidsearch.errors import EncoderError
from tests.conftest import HEIGHT, WIDTH, write_encoder

STEPS = Thresholds({1e-1: 0.2, 1e-2: 0.4, 1e-3: 0.6, 1e-4: 0.8})


def test_a_rate_between_two_measured_ones_gets_the_stricter_cosine() -> None:
    assert STEPS.threshold(1e-2) == 0.4
    assert STEPS.threshold(5e-2) == 0.4
    assert STEPS.threshold(0.5) == 0.2
    assert STEPS.threshold(1e-5) is None


def test_the_choice_keeps_the_expected_false_hits_below_their_share() -> None:
    # Of 1,000 images 1 in 1,000 reach 0.6 by chance: one of ten hits, which is what is allowed.
    def choose(scores: list[float]) -> tuple[float, float] | None:
        return thresholds.choose(
            STEPS, scores, gallery=1000, rates=sorted(STEPS.by_rate), false_share=0.1
        )

    assert choose([0.7] * 10 + [0.5] * 80) == (0.6, 1e-3)
    assert choose([0.7] * 10 + [0.5] * 90) == (0.4, 1e-2)
    assert choose([0.9] + [0.5] * 20) == (0.8, 1e-4)
    assert choose([]) == (0.8, 1e-4)


def test_of_strangers_and_one_person_about_the_allowed_share_of_hits_is_false() -> None:
    # Uniform scores of strangers, whose tail is known, and a person's close to 1.
    random = np.random.default_rng(1)
    rates = 10.0 ** -np.arange(1, 6, 0.25)
    known = Thresholds({rate: 1 - rate for rate in rates})
    false = shown = 0
    for _ in range(200):
        strangers, person = random.random(2000), 1 - random.random(20) * 1e-3
        chosen = thresholds.choose(
            known, [*strangers, *person], gallery=2020, rates=rates, false_share=0.1
        )
        assert chosen is not None
        false += int((strangers >= chosen[0]).sum())
        shown += int((strangers >= chosen[0]).sum() + (person >= chosen[0]).sum())
    assert 0.03 < false / shown <= 0.1


def test_the_shipped_encoder_brings_thresholds_for_its_own_fingerprint_alone() -> None:
    own = thresholds.of_encoder(fingerprint(DEFAULT_ENCODER), {})
    assert own is not None
    assert own.threshold(1e-4) == 0.587
    assert thresholds.of_encoder("0" * 64, {}) is None


def test_thresholds_come_back_from_their_text() -> None:
    assert thresholds.parse(thresholds.as_text(STEPS.by_rate)).by_rate == STEPS.by_rate


@pytest.mark.parametrize(
    "text",
    [
        "", "0.5", "[]", "{}", "[" * 5000, '{"0.1": "high"}', '{"0.1": true}', '{"x": 0.5}',
        '{"0": 0.5}', '{"0.1": NaN}', '{"0.1": 1e400}', '{"nan": 0.5}', '{"0.1": null}',
        '{"0.1": 0.5, "0.01": 0.4}', json.dumps({f"0.{n:06}": 0.5 for n in range(1, 1000)}),
        '{"0.1": 1' + "0" * 400 + "}", "9" * 5000,
    ],
)  # fmt: skip
def test_an_encoder_whose_thresholds_are_none_is_refused(tmp_path: Path, text: str) -> None:
    metadata = {"input_size": f"{HEIGHT}x{WIDTH}", "mean": "0,0,0", "std": "1,1,1"}
    path = write_encoder(tmp_path / "odd.onnx", metadata={**metadata, "thresholds": text})
    with pytest.raises(EncoderError, match="thresholds"):
        Encoder(path)
