"""The training package: its parts against closed forms and slow references, the whole for real."""

import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import EncoderError, UsageError
from reidsearch.ranking import metrics
from reidsearch.types import UNKNOWN, Labels, Split
from tests.conftest import COLORS, write_crop, write_encoder
from train import augment, data, export, loop, losses, quantise, recipe, sampler, thresholds
from train.network import Head, OSNet, Siamese, mix_styles
from train.run import MARKET_TERMS, OWN_TERMS, Run, resume, save, save_weights, start

ROOT = Path(__file__).parent.parent
TINY = recipe.Recipe(
    name="tiny",
    height=64,
    width=32,
    network_width=0.25,
    side=16,
    side_weight=0.5,
    epochs=2,
    p=2,
    k=2,
    learning_rate=0.02,
    warmup=0.25,
    momentum=0.9,
    weight_decay=5e-4,
    label_smoothing=0.1,
    triplet_margin=0.3,
    triplet_weight=1.0,
    pad=3,
    erase=0.5,
    average=0.9,
    seed=1,
)
# torch.export warns about its own use of jit and of trees, which callers cannot change.
exports = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


# ---- losses -----------------------------------------------------------------------------------


def test_the_triplet_loss_is_the_one_worked_out_by_hand() -> None:
    # Two people on a line: a at 0 and 1, b at 3 and 7.
    features = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    identities = torch.tensor([0, 0, 1, 1])
    # farthest positive less nearest negative: 1-3, 1-2, 4-2, 4-6; with margin 1.5:
    by_hand = (max(0, -0.5) + 0.5 + 3.5 + max(0, -0.5)) / 4
    loss = losses.batch_hard_triplet(features, identities, margin=1.5)
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_the_triplet_loss_equals_loops_over_every_pair() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(24, 8, generator=generator)
    identities = torch.arange(24) // 4
    total = 0.0
    for a in range(24):
        positive = max(
            math.dist(features[a].tolist(), features[p].tolist())
            for p in range(24)
            if identities[p] == identities[a]
        )
        negative = min(
            math.dist(features[a].tolist(), features[n].tolist())
            for n in range(24)
            if identities[n] != identities[a]
        )
        total += max(0.0, 0.3 + positive - negative)
    loss = losses.batch_hard_triplet(features, identities, margin=0.3)
    assert loss.item() == pytest.approx(total / 24, rel=1e-4)


def test_gradients_stay_finite_where_features_coincide() -> None:
    features = torch.ones(4, 3, requires_grad=True)
    losses.batch_hard_triplet(features, torch.tensor([0, 0, 1, 1]), margin=0.3).backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


def test_label_smoothing_spreads_its_share_over_all_classes() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    log_total = math.log(math.exp(2) + 1 + math.exp(-1))
    logs = [2 - log_total, -log_total, -1 - log_total]
    by_hand = -(0.9 * logs[0] + 0.1 * sum(logs) / 3)
    loss = losses.identity_loss(logits, torch.tensor([0]), smoothing=0.1)
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


# ---- sampling ---------------------------------------------------------------------------------


def test_every_batch_holds_k_images_of_each_of_p_people_and_no_image_comes_twice() -> None:
    identities = [i for i in range(30) for _ in range(4 + i % 7)]
    batches = sampler.epoch_batches(identities, p=5, k=3, seed=1, epoch=0)
    assert len(batches) >= 8
    for batch in batches:
        people = [identities[position] for position in batch]
        assert sorted(people.count(person) for person in set(people)) == [3] * 5
    used = [position for batch in batches for position in batch]
    assert len(used) == len(set(used))


def test_people_with_fewer_than_k_images_repeat_some() -> None:
    (batch,) = sampler.epoch_batches([0, 0, 0, 0, 1], p=2, k=4, seed=1, epoch=0)
    assert batch.count(4) == 4
    assert sorted(p for p in batch if p != 4) == [0, 1, 2, 3]


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    identities = list(range(20)) * 4

    def batches(seed: int, epoch: int) -> list[list[int]]:
        return sampler.epoch_batches(identities, p=4, k=2, seed=seed, epoch=epoch)

    assert batches(1, 0) == batches(1, 0)
    assert batches(1, 0) != batches(1, 1)
    assert batches(1, 0) != batches(2, 0)


def test_too_few_people_for_a_batch_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 identities"):
        sampler.epoch_batches([0, 1, 0, 1], p=3, k=2, seed=1, epoch=0)


# ---- augmentation -----------------------------------------------------------------------------


def pictures(count: int, height: int = 24, width: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(1, 256, (count, height, width, 3), generator=generator).to(torch.uint8)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_without_shift_and_erasing_a_picture_is_itself_or_its_mirror_image() -> None:
    images = pictures(40)
    out = augment.augment(images, pad=0, erase=0.0, generator=seeded())
    plain, mirrored = augment.normalise(images), augment.normalise(images).flip(3)
    same = (out == plain).flatten(1).all(1)
    flipped = (out == mirrored).flatten(1).all(1)
    assert (same | flipped).all()
    assert 8 < int(flipped.sum()) < 32


def test_a_shift_moves_the_picture_and_fills_with_black() -> None:
    images = torch.full((30, 24, 12, 3), 255, dtype=torch.uint8)
    out = augment.augment(images, pad=4, erase=0.0, generator=seeded())
    black, white = augment.normalise(torch.tensor([0, 255]).to(torch.uint8).view(2, 1, 1, 1))[
        :, 0, 0, 0
    ].tolist()
    filled = []
    for picture in out[:, 0]:
        is_black = (picture - black).abs() < 1e-5
        assert (is_black | ((picture - white).abs() < 1e-5)).all()
        rows, columns = is_black.all(1).sum().item(), is_black.all(0).sum().item()
        assert rows <= 4
        assert columns <= 4
        filled.append((rows, columns))
    assert len(set(filled)) > 5


def test_erasing_blanks_one_rectangle_of_2_to_40_percent() -> None:
    out = augment.augment(pictures(60, 64, 32), pad=0, erase=1.0, generator=seeded())
    for picture in out:
        blank = (picture == 0).all(0)
        rows, columns = blank.any(1).nonzero().flatten(), blank.any(0).nonzero().flatten()
        assert blank[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 0.01 < blank.float().mean().item() < 0.43  # rounding to pixels moves the bounds


def test_without_jitter_colours_stay_and_grey_leaves_their_brightness() -> None:
    images = pictures(6).float()
    same = augment.recolour(images, 0.0, 0.0, seeded())
    torch.testing.assert_close(same, images, rtol=1e-4, atol=1e-3)
    grey = augment.recolour(images, 0.0, 1.0, seeded())
    luma = images @ torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(grey, luma[..., None].expand(-1, -1, -1, 3), rtol=1e-4, atol=1e-3)


def test_jitter_gives_each_picture_other_colours_within_its_bounds() -> None:
    # Of an even grey picture only gains are seen: +-30 % for all, +-15 % for each channel; then
    # contrast moves the channels apart by up to 30 %.
    grey = torch.full((200, 4, 2, 3), 100.0)
    out = augment.recolour(grey, 0.3, 0.0, seeded())
    torch.testing.assert_close(out, out[:, :1, :1].expand_as(out))
    colours = out[:, 0, 0]  # B 3
    brightness = colours @ torch.tensor([0.299, 0.587, 0.114])
    assert 100 * 0.7 * 0.85 <= brightness.min() < 75
    assert 125 < brightness.max() <= 100 * 1.3 * 1.15
    assert (colours.amax(1) - colours.amin(1)).max() <= 1.3 * 1.3 * 0.3 * 100
    assert (colours.amax(1) - colours.amin(1)).mean() > 8

    strong = augment.recolour(pictures(50).float(), 0.9, 0.2, seeded())
    assert 0 <= strong.min() < strong.max() <= 255


def test_hues_turn_about_grey_by_the_angle() -> None:
    third = torch.tensor([0.0, 2 * torch.pi / 3])
    turns = augment.hue_turns(third)
    torch.testing.assert_close(turns[0], torch.eye(3))
    # A third of the circle takes red to green, green to blue and blue to red.
    torch.testing.assert_close(turns[1], torch.eye(3)[[2, 0, 1]], rtol=0, atol=1e-6)
    torch.testing.assert_close(turns @ torch.ones(3), torch.ones(2, 3))


def test_a_blur_is_a_gaussian_one_for_some_pictures_and_leaves_the_rest() -> None:
    point = torch.zeros(200, 25, 25, 3)
    point[:, 12, 12] = torch.tensor([255.0, 100.0, 0.0])
    out = augment.soften(point, 0.5, seeded())
    untouched = (out == point).flatten(1).all(1)
    assert 70 < int(untouched.sum()) < 130
    row = out[~untouched][:, 12, :, 0]
    for taps, picture in zip(row / row.sum(1, keepdim=True), out[~untouched], strict=True):
        assert picture.sum().item() == pytest.approx(355, rel=1e-4)
        torch.testing.assert_close(picture[:, :, 0], picture[:, :, 0].T)
        # Of a Gaussian, the logarithms' second difference is the same everywhere.
        curve = taps[9:16].clamp(min=1e-30).log().diff().diff()
        if taps.amax() < 0.9:
            torch.testing.assert_close(curve, curve.mean().expand(5), rtol=1e-2, atol=1e-2)
            assert curve.mean() < -1 / augment.BLUR_PIXELS**2 + 1e-3


# ---- network ----------------------------------------------------------------------------------


def test_osnet_has_the_papers_size() -> None:
    # Table 2 of the paper: 2.2 million parameters with the 512-d linear layer (0.26 million) and
    # its batch norm, which the BNNeck replaces here.
    count = sum(p.numel() for p in OSNet().parameters())
    assert count == pytest.approx(2.2e6 - 512 * 512, rel=0.02)


def test_an_embedding_does_not_depend_on_its_companions() -> None:
    torch.manual_seed(0)
    network = Siamese(identities=5, width=0.25).eval()
    images = torch.randn(4, 3, 64, 32)
    together = network(images)
    assert together.shape == (4, 128)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_each_stage_gives_its_part_of_the_embedding_at_unit_length() -> None:
    torch.manual_seed(0)
    network = Siamese(identities=5, width=0.25, side=24).eval()
    images = torch.randn(4, 3, 64, 32)
    embeddings = network(images)
    assert embeddings.shape == (4, network.dimension) == (4, 128 + 2 * 24)
    for part in embeddings.split([128, 24, 24], dim=1):
        torch.testing.assert_close(part.norm(dim=1), torch.ones(4))
    main, _, *later = network.parts(images)
    torch.testing.assert_close(embeddings, torch.cat([main, *later], dim=1))
    outputs = network.training_outputs(images)
    assert [o.features.shape[1] for o in outputs] == [128, 24, 24, 24]
    assert all(o.logits.shape == (4, 5) for o in outputs)
    # The embedding is what lies between features and classifier, the BNNeck at rest.
    scale = network.main.neck.weight / (1 + network.main.neck.eps) ** 0.5
    by_hand = torch.nn.functional.normalize(outputs[0].features * scale)
    torch.testing.assert_close(embeddings[:, :128], by_hand)


def test_stripes_see_their_band_of_the_picture_alone() -> None:
    torch.manual_seed(0)
    network = Siamese(identities=5, width=0.25, side=24, stripes=2, stripe=8).eval()
    assert network.dimension == 128 + 2 * 24 + 2 * 8
    maps = torch.rand(3, 128, 6, 2)
    lower_changed = torch.cat([maps[:, :, :3], torch.rand(3, 128, 3, 2)], dim=2)

    def stripes(last: torch.Tensor) -> list[torch.Tensor]:
        early = [torch.rand(3, c, 6, 2) for c in network.trunk.channels[:3]]
        network.trunk.forward = lambda images: [*early, last]  # type: ignore[method-assign]
        return network.parts(torch.empty(0))[-2:]

    (upper, lower), (same_upper, other_lower) = stripes(maps), stripes(lower_changed)
    assert upper.shape == lower.shape == (3, 8)
    assert torch.equal(upper, same_upper)
    assert not torch.allclose(lower, other_lower)
    first = network.stripes[0]
    assert isinstance(first, Head)
    by_hand = first.neck(first.features(maps[:, :, :3]))
    torch.testing.assert_close(upper, torch.nn.functional.normalize(by_hand))


def test_stripes_without_side_heads_end_the_embedding() -> None:
    network = Siamese(identities=5, width=0.25, stripes=3, stripe=8).eval()
    embeddings = network(torch.randn(2, 3, 96, 32))
    assert embeddings.shape == (2, network.dimension) == (2, 128 + 3 * 8)
    assert len(network.training_outputs(torch.randn(2, 3, 96, 32))) == 4


def test_an_instance_norms_stem_does_not_see_a_cameras_contrast() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 64, 32)
    stem = OSNet(0.25, instance=True).eval().stem
    torch.testing.assert_close(stem(3 * images), stem(images), rtol=1e-3, atol=1e-3)
    plain = OSNet(0.25).eval().stem
    assert not torch.allclose(plain(3 * images), plain(images), rtol=0.1)


def test_mixed_styles_keep_what_maps_show_and_lie_between_two_of_the_batch() -> None:
    torch.manual_seed(0)
    maps = torch.randn(6, 4, 16, 8) * torch.rand(6, 4, 1, 1) + torch.randn(6, 4, 1, 1)
    mixed = mix_styles(maps)

    def style(x: torch.Tensor) -> torch.Tensor:
        deviation, mean = torch.std_mean(x, (2, 3), correction=0)
        return torch.stack([deviation, mean], -1)  # B C 2

    def shown(x: torch.Tensor) -> torch.Tensor:
        deviation, mean = style(x)[..., None, None].unbind(2)
        return (x - mean) / deviation

    torch.testing.assert_close(shown(mixed), shown(maps), rtol=1e-3, atol=1e-3)
    for own, new in zip(style(maps), style(mixed), strict=True):
        # One share for all channels: new = own + t (another - own), for one of the images.
        fits = []
        for other in style(maps):
            way = (other - own).flatten()
            t = torch.dot((new - own).flatten(), way) / torch.dot(way, way).clamp(min=1e-9)
            fits.append(torch.allclose(own + t * (other - own), new, atol=1e-3) and -1e-3 <= t <= 1)
        assert any(fits)
    assert not torch.allclose(mixed, maps, atol=0.01)


def test_styles_are_mixed_in_training_alone_and_by_chance() -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, 64, 32)
    never, always = OSNet(0.25), OSNet(0.25, mix_styles=1.0)
    always.load_state_dict(never.state_dict())
    for trunk in (never, always):  # batch norm's own statistics, so that both modes compare
        trunk.eval()
    torch.testing.assert_close(always(images), never(images))
    always.training = True  # the trunk alone: its batch norms stay as they are
    assert not torch.allclose(always(images)[0], never(images)[0], atol=0.01)


def test_the_trunks_maps_halve_from_stage_to_stage() -> None:
    maps = OSNet()(torch.zeros(1, 3, 128, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (256, 32, 16), (384, 16, 8), (512, 8, 4), (512, 8, 4),
    ]  # fmt: skip


# ---- recipes and data -------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(recipe.RECIPES.glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_recipe_loads(path: Path) -> None:
    loaded = recipe.load(path.stem, epochs=3)  # of training, or of an adaptation's training
    assert (loaded.name, loaded.epochs) == (path.stem, 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"epoch": 3}, "epoch"), ({"epochs": "many"}, "epochs"), ({"epochs": True}, "epochs")],
)
def test_a_recipe_with_a_mistake_is_an_error_that_names_it(
    changes: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        recipe.from_dict({**TINY.as_dict(), **changes})
    with pytest.raises(UsageError, match="no p"):
        recipe.from_dict({k: v for k, v in TINY.as_dict().items() if k != "p"})
    without = {k: v for k, v in TINY.as_dict().items() if k not in ("stripes", "stripe", "jitter")}
    assert recipe.from_dict(without) == TINY
    with pytest.raises(UsageError) as error:
        recipe.load("nonesuch")
    assert "cpu" in error.value.hint


def crops(people: int = 6, per_person: int = 4) -> data.Crops:
    count = people * per_person
    generator = torch.Generator().manual_seed(2)
    colors = torch.randint(0, 200, (people, 1, 1, 1, 3), generator=generator)
    noise = torch.randint(0, 50, (people, per_person, 64, 32, 3), generator=generator)
    images = (colors + noise).view(count, 64, 32, 3).to(torch.uint8)
    labels = Labels(np.repeat(np.arange(1, people + 1), per_person), np.arange(count) % 3)
    return data.Crops(images, labels, [f"{i}.jpg" for i in range(count)], Path())


def test_held_out_people_are_not_trained_on_and_their_probes_are_the_first_of_each_camera() -> None:
    rest, probes, gallery = data.hold_out(crops(people=10, per_person=9), 4, seed=1)
    held = set(probes.labels.identity.tolist())
    assert len(held) == 4
    assert held == set(gallery.labels.identity.tolist())
    assert not held & set(rest.labels.identity.tolist())
    assert len(rest) + len(probes) + len(gallery) == 90
    assert len(probes) == 4 * 3


def test_loading_decodes_a_split_and_people_drops_junk_and_distractors(market: Path) -> None:
    loaded = data.load(market, Split.GALLERY, height=16, width=8)
    assert loaded.images.shape == (27, 16, 8, 3)
    known = data.people(loaded)
    assert len(known) == 25
    assert set(known.labels.identity.tolist()) == set(COLORS)


def test_whoever_is_left_out_of_training_is_counted(tmp_path: Path) -> None:
    for name in ("0000_c1", "0001_c1", "0002_c2", "-1_c1", "somebody"):
        write_crop(tmp_path / f"{name}.jpg", color=COLORS[1])
    crops = data.load(tmp_path, Split.GALLERY, height=16, width=8)
    assert data.left_out(crops) == (
        "left out: 1 crop of the identity 0, 1 crop of the identity -1, 1 crop of nobody known; "
        "people are numbered from 1"
    )
    assert data.left_out(data.people(crops)) == ""


def test_a_folder_or_a_csv_without_splits_is_all_for_training(tmp_path: Path) -> None:
    for name in ("0001_c1.jpg", "0001_c2.jpg", "0002_c1.jpg", "nobody.jpg"):
        write_crop(tmp_path / "mine" / name, color=COLORS[1])
    assert data.splits(tmp_path / "mine") == data.Splits(Split.GALLERY, test=False, market=False)
    known = data.people(data.load(tmp_path / "mine", Split.GALLERY, height=16, width=8))
    assert known.labels.identity.tolist() == [1, 1, 2]

    manifest = tmp_path / "mine/crops.csv"
    manifest.write_text("path,identity,camera\n0001_c1.jpg,7,1\n0002_c1.jpg,8,1\n")
    assert data.splits(manifest) == data.Splits(Split.GALLERY, test=False, market=False)
    manifest.write_text("path,identity,split\na.jpg,7,train\nb.jpg,8,query\nc.jpg,8,gallery\n")
    assert data.splits(manifest) == data.Splits(Split.TRAIN, test=True, market=False)


def test_a_test_split_is_never_trained_on(tmp_path: Path) -> None:
    write_crop(tmp_path / "bounding_box_test/0001_c1s1_000001_00.jpg", color=COLORS[1])
    with pytest.raises(UsageError, match="nothing to train on") as error:
        data.splits(tmp_path)
    assert "bounding_box_train" in error.value.hint


def test_crops_of_nobody_known_are_an_error_that_says_how_to_name_them(tmp_path: Path) -> None:
    write_crop(tmp_path / "somebody.jpg", color=COLORS[1])
    with pytest.raises(UsageError, match="none of the 1 crops") as error:
        data.people(data.load(tmp_path, Split.GALLERY, height=16, width=8))
    assert "0002_c1.jpg" in error.value.hint


def test_nobody_is_held_out_by_default_where_cameras_are_unknown() -> None:
    some = crops(people=40)
    assert data.tenth(some) == 4
    unknown = replace(some, labels=Labels(some.labels.identity, np.full(len(some), UNKNOWN)))
    assert data.tenth(unknown) == 0
    with pytest.raises(UsageError, match="another camera"):
        data.hold_out(unknown, 4, seed=1)


# ---- the loop ---------------------------------------------------------------------------------


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    plan = replace(TINY, learning_rate=0.1, warmup=0.25)
    assert loop.learning_rate(plan, 0.0) == pytest.approx(0.1 / 25)
    assert loop.learning_rate(plan, 0.125) == pytest.approx((0.1 / 25 + 0.1) / 2)
    assert loop.learning_rate(plan, 0.25) == pytest.approx(0.1)
    assert loop.learning_rate(plan, 0.625) == pytest.approx(0.05)
    assert loop.learning_rate(plan, 1.0) == pytest.approx(0.0, abs=1e-12)


def test_a_run_that_was_cut_gives_the_weights_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(loop, "LOG_EVERY_STEPS", 2)
    cpu, some = torch.device("cpu"), crops()
    whole = start(TINY, some, device=cpu)
    records = list(loop.train(whole, some, out=tmp_path / "whole"))
    assert records[-1]["step"] == records[-1]["of"] == whole.step > 8

    cut = start(TINY, some, device=cpu)
    training = loop.train(cut, some, out=tmp_path / "cut")
    while next(training)["step"] < 4:
        pass
    training.close()
    path = tmp_path / "cut" / loop.CHECKPOINT
    resumed = resume(path, some, recipe=TINY, device=cpu)
    assert 0 < resumed.step < whole.step
    list(loop.train(resumed, some, out=tmp_path / "cut"))
    for mine, theirs in ((whole.network, resumed.network), (whole.average, resumed.average)):
        assert mine is not None
        assert theirs is not None
        for name, tensor in mine.state_dict().items():
            assert torch.equal(tensor, theirs.state_dict()[name]), name
    lines = (tmp_path / "cut/log.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps))
    assert steps[-1] == whole.step


def test_a_log_tells_speed_and_the_time_left_within_the_first_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock by which every step takes 20 seconds: a record is due at every second step.
    clock = SimpleNamespace(monotonic=itertools.count(step=20).__next__)
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 1e9)
    some = crops()
    records = list(loop.train(start(TINY, some, device=torch.device("cpu")), some, out=tmp_path))
    assert [r["step"] for r in records] == [2, 4, 6, 8, 10, 11]
    for record in records:
        assert record["images_per_second"] == 0.2  # 4 a step
        assert record["minutes_left"] == round((11 - record["step"]) / 3, 1)


@pytest.mark.parametrize(
    ("has", "dtype"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_training_is_in_bfloat16_where_the_processor_has_it(
    has: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.precision.cache_clear()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert loop.precision(torch.device("cpu")) is dtype
    assert loop.precision(torch.device("cuda")) is torch.bfloat16
    loop.precision.cache_clear()


def test_training_separates_people(tmp_path: Path) -> None:
    some = crops()
    plan = replace(TINY, epochs=30, p=6, k=4, learning_rate=0.05, erase=0.0)
    training = start(plan, some, device=torch.device("cpu"))
    records = list(loop.train(training, some, out=tmp_path))
    assert records[-1]["identity_loss"] < 0.8 * math.log(6)  # a guess scores log 6


def test_the_average_follows_the_weights_as_its_formula_says() -> None:
    training = start(replace(TINY, average=0.9), crops(), device=torch.device("cpu"))
    assert training.average is training.result is not None
    first = training.network.main.neck.weight.clone()
    # After step 1 the decay is (1 + 1) / (10 + 1), after step 200 the recipe's.
    for step, decay in ((1, 2 / 11), (200, 0.9)):
        training.step = step
        before = training.average.main.neck.weight.clone()
        with torch.no_grad():
            training.network.main.neck.weight.copy_(first + step)
        training.follow()
        by_hand = decay * before + (1 - decay) * (first + step)
        torch.testing.assert_close(training.average.main.neck.weight, by_hand)


def test_a_checkpoint_is_refused_for_another_recipe_or_other_people(tmp_path: Path) -> None:
    cpu, path = torch.device("cpu"), tmp_path / "c.safetensors"
    save(start(TINY, crops(), device=cpu), path)
    with pytest.raises(UsageError, match="another recipe"):
        resume(path, crops(), recipe=replace(TINY, epochs=9), device=cpu)
    with pytest.raises(UsageError, match="other identities"):
        resume(path, crops(people=7), recipe=TINY, device=cpu)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(UsageError, match="no weights of a training run"):
        resume(path, crops(), recipe=TINY, device=cpu)


def test_more_people_than_there_are_cannot_fill_a_batch() -> None:
    with pytest.raises(UsageError, match="7 people, but there are 6"):
        start(replace(TINY, p=7), crops(), device=torch.device("cpu"))


# ---- starting from weights --------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Run, Path]:
    training = start(TINY, crops(), device=torch.device("cpu"), terms=MARKET_TERMS)
    list(loop.train(training, crops(), out=tmp_path / "first"))
    save_weights(training, tmp_path / "w.safetensors")
    return training, tmp_path / "w.safetensors"


def same(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], part: str) -> bool:
    """Whether the tensors of one part agree to half precision."""
    names = [name for name in mine if part in name]
    assert names
    return all(torch.allclose(mine[n], theirs[n], rtol=2e-3, atol=1e-4) for n in names)


def test_weights_start_another_run_whose_classifiers_begin_anew_for_other_people(
    trained: tuple[Run, Path],
) -> None:
    training, path = trained
    cpu, old = torch.device("cpu"), training.result.state_dict()
    alike = start(TINY, crops(), device=cpu, weights=path).network.state_dict()
    assert all(same(alike, old, part) for part in ("trunk.", "neck.", "classifier."))
    other = start(TINY, crops(people=7), device=cpu, weights=path).network.state_dict()
    assert same(other, old, "trunk.")
    assert other["main.classifier.weight"].shape == (7, 128)


def test_a_run_from_weights_says_so_and_keeps_their_terms(trained: tuple[Run, Path]) -> None:
    _, path = trained
    tuned = start(TINY, crops(), device=torch.device("cpu"), weights=path)
    assert "recipe tiny, step 11" in tuned.initial
    assert tuned.terms == MARKET_TERMS
    fresh = start(TINY, crops(), device=torch.device("cpu"))
    assert (fresh.initial, fresh.terms) == ("random initialisation", OWN_TERMS)


def test_weights_without_side_heads_start_a_network_with_them_and_the_other_way_round(
    trained: tuple[Run, Path], tmp_path: Path
) -> None:
    _, with_sides = trained
    cpu, plain = torch.device("cpu"), replace(TINY, side=0)
    narrow = start(plain, crops(), device=cpu, weights=with_sides)
    save_weights(narrow, tmp_path / "plain.safetensors")
    wide = start(TINY, crops(), device=cpu, weights=tmp_path / "plain.safetensors")
    assert same(wide.network.state_dict(), narrow.result.state_dict(), "trunk.")
    assert wide.network.dimension == narrow.network.dimension + 2 * 16


def test_instance_norms_take_over_batch_norms_scales_but_not_the_other_way_round(
    trained: tuple[Run, Path], tmp_path: Path
) -> None:
    training, path = trained
    cpu, with_instance = torch.device("cpu"), replace(TINY, instance_norm=True)
    unseen = start(with_instance, crops(), device=cpu, weights=path)
    mine, theirs = unseen.network.state_dict(), training.result.state_dict()
    assert same(mine, {n: theirs[n] for n in mine}, "trunk.")
    assert len(theirs) - len(mine) == 3 * 5  # the stem and four blocks keep no statistics

    save_weights(unseen, tmp_path / "unseen.safetensors")
    again = start(with_instance, crops(), device=cpu, weights=tmp_path / "unseen.safetensors")
    assert same(again.network.state_dict(), mine, "trunk.")
    with pytest.raises(UsageError, match="another network") as error:
        start(TINY, crops(), device=cpu, weights=tmp_path / "unseen.safetensors")
    assert "instance_norm = True" in error.value.hint


def test_a_weights_file_goes_on_as_the_run_that_has_ended(trained: tuple[Run, Path]) -> None:
    training, path = trained
    ended = resume(path, crops(), recipe=TINY, device=torch.device("cpu"))
    assert ended.step == training.step
    assert ended.average is not None
    assert same(ended.average.state_dict(), training.result.state_dict(), "")


def test_stripes_begin_anew_on_weights_without_them(trained: tuple[Run, Path]) -> None:
    training, path = trained
    striped = replace(TINY, stripes=2, stripe=8)
    begun = start(striped, crops(), device=torch.device("cpu"), weights=path)
    assert same(begun.network.state_dict(), training.result.state_dict(), "trunk.")
    assert begun.network.dimension == training.network.dimension + 2 * 8


def test_weights_of_another_network_are_refused(trained: tuple[Run, Path]) -> None:
    with pytest.raises(UsageError, match="another network") as error:
        start(
            replace(TINY, network_width=0.5), crops(), device=torch.device("cpu"),
            weights=trained[1],
        )  # fmt: skip
    assert "network_width = 0.25" in error.value.hint


# ---- export -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    training = start(
        replace(TINY, average=0.0), crops(), device=torch.device("cpu"), terms=MARKET_TERMS
    )
    training.network.train()
    with torch.no_grad():  # gives batch norm statistics of its own
        training.network(augment.normalise(crops().images))
    path = tmp_path_factory.mktemp("export") / "encoder.onnx"
    export.export(training, path, name="osnet-tiny", trained_on="drawn crops")
    return training, path


def saved_crops(folder: Path) -> data.Crops:
    some = crops()
    paths = []
    for row, name in enumerate(some.paths):
        write_crop(folder / name, color=COLORS[1 + row % 4], seed=row)
        paths.append(name)
    return replace(some, paths=paths, root=folder)


@exports
def test_an_exported_encoder_agrees_with_its_network_and_another_does_not(
    exported: tuple[Run, Path], tmp_path: Path
) -> None:
    training, path = exported
    encoder = Encoder(path)
    assert encoder.name == "osnet-tiny"
    assert encoder.size == (64, 32)
    assert encoder.dimension == 128 + 2 * 16
    some = saved_crops(tmp_path)
    assert export.check_parity(training.network, encoder, some) > export.PARITY
    torch.manual_seed(99)
    with pytest.raises(EncoderError, match="differs"):
        export.check_parity(Siamese(identities=6, width=0.25, side=16), encoder, some)


@exports
def test_an_int8_encoder_is_smaller_and_close_and_the_card_names_both(
    exported: tuple[Run, Path], tmp_path: Path
) -> None:
    training, path = exported
    encoder, some = Encoder(path), crops()
    quantise.quantise(encoder, tmp_path / "int8.onnx", crops=some, seed=1)
    small = Encoder(tmp_path / "int8.onnx")
    assert small.name == "osnet-tiny-int8"
    assert small.preprocessing == encoder.preprocessing
    pixels = some.images.numpy()
    cosines = (encoder.encode(pixels) * small.encode(pixels)).sum(1)
    assert cosines.min() > 0.95
    some_scores = metrics.per_probe([np.array([0, 3])]).summary()
    scores = dict.fromkeys((encoder, small), some_scores)
    export.write_card(
        tmp_path / "card.md",
        encoders=(encoder, small),
        scores=scores,
        run=training,
        trained_on="drawn crops",
        measured_on="nothing",
        command="python -m train",
        parity=1.0,
    )
    card = (tmp_path / "card.md").read_text()
    assert encoder.fingerprint in card
    assert small.fingerprint in card
    assert "75.00%" in card  # AP of hits at ranks 1 and 4: (1/1 + 2/4) / 2
    assert "research only" in card


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["torch"], "torch, which is"),
        (["onnxscript"], "onnxscript, which is"),  # used at the end of a run alone
        (["torch", "onnx"], "torch, onnx, which are"),
    ],
)
def test_without_pytorch_the_command_says_what_to_install(names: list[str], told: str) -> None:
    without = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({names})); "
        "sys.argv[1:] = ['--help']; runpy.run_module('train', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", without], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"Error: training needs {told} not installed",
        'Try: pip install -e ".[train]"',
    ]


def train(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "train", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_trains_exports_measures_and_goes_on_where_it_was(
    market: Path, tmp_path: Path
) -> None:
    for identity, color in COLORS.items():
        for frame in range(4):
            name = f"{identity:04d}_c{1 + frame % 2}s1_{frame:06d}_00.jpg"
            write_crop(market / "bounding_box_train" / name, color=color, seed=frame)
    plan = tmp_path / "tiny.toml"
    values = {k: v for k, v in TINY.as_dict().items() if k != "name"}
    plan.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    words = ("--data", market, "--recipe", plan, "--out", tmp_path / "out", "--device", "cpu")

    first = train(*words)
    assert first.returncode == 0, first.stderr
    written = {p.name for p in (tmp_path / "out").iterdir()}
    assert written == {
        "checkpoint.safetensors", "weights.safetensors", "log.jsonl",
        "encoder.onnx", "encoder-int8.onnx", "encoder.md",
    }  # fmt: skip
    assert "over 4 probes" in first.stderr
    again = train(*words)
    assert again.returncode == 0, again.stderr
    assert "going on at step" in again.stderr
    before, after = (
        [line for line in done.stderr.splitlines() if "on the test split" in line]
        for done in (first, again)
    )
    assert before == after
    assert len(before) == 2
    # Whoever is searched for there was not held out.
    assert "nobody was held out: the encoders bring no thresholds" in first.stderr
    assert not {"thresholds", "held_out"} & metadata_of(tmp_path / "out/encoder.onnx").keys()
    (told,) = Encoder(tmp_path / "out/encoder.onnx").accuracy
    assert (told.data, told.unseen, told.queries) == ("market, test split", False, 4)
    assert f"R1 {told.rank1:.2%}  mAP {told.mAP:.2%}" in before[0]

    # Then one's own cameras, as a plain folder: nothing to measure on but people held out.
    mine = tmp_path / "mine"
    for person in range(30, 50):
        for frame in range(4):
            name = f"{person:04d}_c{1 + frame % 2}_{frame}.jpg"
            write_crop(mine / name, color=COLORS[1 + person % 4], seed=person * 4 + frame)
    tuned = train(
        "--data", mine, "--recipe", plan, "--out", tmp_path / "tuned", "--device", "cpu",
        "--init", tmp_path / "out/weights.safetensors", "--epochs", 1, "--hold-out", 6,
    )  # fmt: skip
    assert tuned.returncode == 0, tuned.stderr
    assert "on 6 held-out training identities" in tuned.stderr
    # Of 24 crops, half of them from each camera: 12 x 12 pairs, of which 6 x 4 show one person.
    assert tuned.stderr.count("from 120 pairs of different people") == 2
    card = (tmp_path / "tuned/encoder.md").read_text()
    for name in ("encoder.onnx", "encoder-int8.onnx"):
        made = Encoder(tmp_path / "tuned" / name)
        assert made.thresholds is not None
        assert list(made.thresholds.by_rate) == [0.1]  # a tenth of so few pairs can be told
        assert json.loads(metadata_of(made.path)["held_out"])["identities"] == 6
        assert [one.data for one in made.accuracy] == ["6 people held out"]
        assert made.fingerprint in card
    assert "14 people from mine, starting from the weights of recipe tiny" in card
    assert "may not be used commercially" in card

    wrong = train("--data", market, "--recipe", "nonesuch", "--out", tmp_path)
    assert wrong.returncode == 2
    assert "no recipe 'nonesuch'" in wrong.stderr
    assert "Traceback" not in wrong.stderr


# ---- thresholds -------------------------------------------------------------------------------


def test_thresholds_are_the_scores_that_such_a_share_of_strangers_reaches() -> None:
    cosines = np.linspace(0.0, 0.999, 1000)
    gallery = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1).astype(np.float32)
    strangers = Labels(np.arange(2, 1002), np.full(1000, 2))
    # The same person, junk, and a stranger seen by the probe's own camera: none of them counts.
    others = Labels(np.array([1, -1, 5]), np.array([2, 2, 1]))
    theirs = Labels(*(np.concatenate(pair) for pair in zip(
        (strangers.identity, strangers.camera), (others.identity, others.camera), strict=True
    )))  # fmt: skip
    probe = np.array([[1.0, 0.0]], dtype=np.float32)
    told, pairs = thresholds.measure(
        thresholds.between(
            probe,
            Labels(np.array([1]), np.array([1])),
            np.concatenate([gallery, np.repeat(probe, 3, axis=0)]),
            theirs,
        )
    )
    assert pairs == 1000
    assert told[0.1] == pytest.approx(0.9, abs=0.002)
    assert told[0.01] == pytest.approx(0.99, abs=0.002)


def test_pairs_among_images_come_once_each() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(600, 4)).astype(np.float32)  # more than a block of them
    labels = Labels(random.integers(-1, 40, 600), random.integers(1, 4, 600))
    same = different = 0
    for a, b in itertools.combinations(range(600), 2):
        nobody = min(labels.identity[a], labels.identity[b]) < 0
        if not nobody and labels.camera[a] != labels.camera[b]:
            same += labels.identity[a] == labels.identity[b]
            different += labels.identity[a] != labels.identity[b]
    blocks = list(thresholds.among(vectors, labels))
    assert sum(int(block[1].sum()) for block in blocks) == same
    assert sum(int(block[2].sum()) for block in blocks) == different


def test_an_encoders_file_brings_what_was_measured_on_people_held_out(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "plain.onnx")
    plain = Encoder(path)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *plain.size, 3), dtype=np.uint8)
    vectors = plain.encode(pixels)
    scores = metrics.per_probe([np.array([0, 3])]).summary()
    export.add_measured(path, people=2, scores=scores, by_rate={0.1: 0.5, 0.01: 0.75})
    told = Encoder(path)
    assert told.thresholds is not None
    assert told.thresholds.by_rate == {0.1: 0.5, 0.01: 0.75}
    assert np.array_equal(told.encode(pixels), vectors)
    assert told.fingerprint != plain.fingerprint
    held_out = metadata_of(path)["held_out"]
    assert json.loads(held_out) == {
        "identities": 2, "queries": 1, "mAP": 0.75, "mAP_trapezoid": scores.mAP_trapezoid,
        "mINP": 0.5, "cmc": {str(rank): 1.0 for rank in metrics.CMC_RANKS},
    }  # fmt: skip

    few = write_encoder(tmp_path / "few.onnx")
    export.add_measured(few, people=2, scores=scores, by_rate={})
    assert Encoder(few).thresholds is None
    assert metadata_of(few)["held_out"] == held_out


def metadata_of(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
