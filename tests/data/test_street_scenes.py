import hashlib
import itertools
import time

import numpy as np
import pytest

from engine.data.street_drawing import Die
from engine.data.street_scenes import (
    CLASSES,
    LOOKS,
    OTHER_NAMES,
    PALETTE,
    ROUGHNESS,
    STREAM,
    draw_conditions,
    draw_scene,
    draw_scenes,
)

DOMAINS = tuple(CLASSES)
COUNT = 60

# Of 12 scenes of seed 0, 48x96: images and masks, as this renderer first drew them; the same with
# numpy's fast paths off (NPY_DISABLE_CPU_FEATURES). They change with whatever changes a scene.
DIGITS = {
    "source": ("d87a5fdf5b213990", "285227bb470c72ef"),
    "target": ("2678879abb0b767c", "916a9e694099c750"),
    "proximity": ("785ecdeb14d05d07", "49310669418edc9f"),
}


def digits(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def drawn():
    return {domain: draw_scenes(domain, COUNT, 0) for domain in DOMAINS}


@pytest.fixture(scope="module")
def conditions():
    return {
        domain: [
            draw_conditions(domain, Die(0, STREAM, look.number, index)) for index in range(400)
        ]
        for domain, look in LOOKS.items()
    }


def of(scenes, name):
    return np.array([getattr(scene, name) for scene in scenes])


def fills(values, low, high):
    """All inside the range, and near both of its ends."""
    margin = 0.02 * (high - low)
    assert low <= values.min() < low + margin
    assert high - margin < values.max() < high


@pytest.mark.parametrize("domain", DOMAINS)
def test_pixels_and_masks_are_the_same_on_every_machine(domain, drawn):
    assert tuple(digits(array[:12]) for array in drawn[domain]) == DIGITS[domain]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_scene_depends_on_its_number_alone(domain, drawn):
    images, masks = drawn[domain]
    image, mask = draw_scene(domain, 0, 7, 48, 96)
    assert np.array_equal(image, images[7]) and np.array_equal(mask, masks[7])
    assert image.shape == (3, 48, 96) and mask.shape == (48, 96)
    assert image.dtype == mask.dtype == np.uint8


def test_scenes_seeds_and_domains_differ(drawn):
    pictures = [draw_scenes("target", 1, 1)[0][0]]
    pictures += [picture for images, _ in drawn.values() for picture in images]
    assert len({digits(picture) for picture in pictures}) == 1 + 3 * COUNT


def test_none_and_other_sizes_can_be_drawn():
    assert draw_scenes("source", 0, 0)[0].shape == (0, 3, 48, 96)
    images, masks = draw_scenes("source", 2, 0, 33, 50)
    assert images.shape == (2, 3, 33, 50) and masks.shape == (2, 33, 50)


def test_a_larger_picture_shows_the_same_scene(drawn):
    _, large = draw_scenes("target", 6, 0, 144, 288)
    assert (large[:, 1::3, 1::3] == drawn["target"][1][:6]).mean() > 0.999


def test_four_hundred_scenes_take_seconds():
    start = time.process_time()
    draw_scenes("target", 20, 3)
    # 2.1 s for 400 on one core; three times that on a busy one.
    assert (time.process_time() - start) * 20 < 8


def test_source_has_ten_classes_and_the_others_seven(drawn):
    assert [len(CLASSES[domain]) for domain in DOMAINS] == [10, 7, 7]
    assert CLASSES["target"] == CLASSES["proximity"] != CLASSES["source"]
    for domain, (_, masks) in drawn.items():
        assert np.unique(masks).tolist() == list(range(len(CLASSES[domain])))


def test_other_names_are_those_of_classes():
    for domain, names in OTHER_NAMES.items():
        assert set(names) <= set(ROUGHNESS)
        assert set(names.values()) <= set(CLASSES[domain])


# Class -> lowest and highest share of all pixels, and the lowest share of scenes that hold it.
FREQUENT = {
    "source": {
        **{"sky": (0.15, 0.35, 0.9), "ground": (0.2, 0.5, 0.9), "building": (0.1, 0.35, 0.5)},
        **{"plant": (0.04, 0.15, 0.8), "car": (0.02, 0.08, 0.5), "person": (0.007, 0.04, 0.5)},
        **{"animal": (0.01, 0.06, 0.25), "boat": (0.005, 0.04, 0.1)},
        **{"sign": (0.01, 0.05, 0.5), "water": (0.02, 0.1, 0.15)},
    },
    "target": {
        **{"road": (0.2, 0.4, 1), "sidewalk": (0.04, 0.12, 0.98), "building": (0.2, 0.45, 0.98)},
        **{"vegetation": (0.06, 0.2, 0.9), "sky": (0.06, 0.2, 0.9), "car": (0.03, 0.1, 0.8)},
        "person": (0.007, 0.03, 0.7),
    },
}
FREQUENT["proximity"] = FREQUENT["target"]


@pytest.mark.parametrize("domain", DOMAINS)
def test_classes_are_as_frequent_as_in_streets(domain, drawn):
    masks = drawn[domain][1]
    assert set(FREQUENT[domain]) == set(CLASSES[domain])
    for name, (low, high, scenes) in FREQUENT[domain].items():
        found = masks == CLASSES[domain].index(name)
        assert low < found.mean() < high, name
        assert found.any(axis=(1, 2)).mean() >= scenes, name


@pytest.mark.parametrize("domain", DOMAINS)
def test_conditions_fill_their_ranges(domain, conditions):
    scenes, look = conditions[domain], LOOKS[domain]
    for name in ("horizon", "vanishing", "gain"):
        fills(of(scenes, name), *getattr(look, name))
    middle, spread = look.tint
    for channel, tone in enumerate(middle):
        fills(of(scenes, "tint")[:, channel], tone - spread, tone + spread)
    jitter = of(scenes, "jitter")
    assert jitter.shape[1:] == (len(CLASSES[domain]), 3)
    assert abs(jitter.mean()) < 0.1 * look.jitter
    assert jitter.std() == pytest.approx(look.jitter, rel=0.03)


def test_looks_are_those_of_the_design(conditions):
    look = LOOKS["target"]
    assert (look.horizon, look.gain, look.vanishing) == ((0.40, 0.50), (0.45, 1.25), (0.42, 0.58))
    assert [LOOKS[domain].jitter for domain in DOMAINS] == [45, 14, 20]
    assert of(conditions["source"], "is_street").mean() == pytest.approx(0.5, abs=0.06)
    assert of(conditions["target"], "is_street").all()
    assert of(conditions["proximity"], "is_street").all()


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_sky_ends_at_the_horizon_and_the_ground_begins_there(domain, drawn, conditions):
    masks, names = drawn[domain][1], CLASSES[domain]
    flat = [names.index(name) for name in ("ground", "water", "road", "sidewalk") if name in names]
    rows = np.arange(48)[None, :, None]
    lowest_sky = np.where(masks == names.index("sky"), rows, 0).max(axis=(1, 2))
    highest_ground = np.where(np.isin(masks, flat), rows, 48).min(axis=(1, 2))
    horizon = of(conditions[domain], "horizon")[:COUNT] * 48
    assert (lowest_sky <= horizon).all()
    assert (highest_ground >= horizon - 1).all()


@pytest.mark.parametrize("domain", DOMAINS)
def test_gain_is_seen_as_brightness(domain, drawn, conditions):
    brightness = drawn[domain][0].mean(axis=(1, 2, 3))
    gain = of(conditions[domain], "gain")[:COUNT]
    assert np.corrcoef(brightness, gain)[0, 1] > 0.7


def test_target_is_bluish_and_proximity_reddish(drawn, conditions):
    without_light = []
    for domain in ("target", "proximity"):
        red, _, blue = drawn[domain][0].mean(axis=(0, 2, 3))
        tint = of(conditions[domain], "tint")[:COUNT].mean(axis=0)
        gain = of(conditions[domain], "gain")[:COUNT].mean()
        without_light.append((red - blue - (tint[0] - tint[2])) / gain)
        assert (red < blue - 10) if domain == "target" else (red > blue + 10)
    # Beneath the tint the two draw the same streets.
    assert abs(without_light[0] - without_light[1]) < 8


# Machado, Oliveira & Fernandes 2009: linear RGB as seen without one kind of cone.
SEEN = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                 [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def lab(colours, seen):
    """CIELAB (D65) of 8-bit sRGB colours."""
    share = np.array(colours) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(seen).T, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(linear @ to_xyz.T / (0.9505, 1, 1.089) + 1e-6).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("domain", DOMAINS)
def test_classes_can_be_told_apart_by_colour(domain, seen):
    assert len(PALETTE[domain]) == len(CLASSES[domain])
    points = lab(PALETTE[domain], SEEN[seen])
    gaps = [np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)]
    assert min(gaps) > 15


def test_a_class_has_one_colour_in_all_domains():
    seen = {}
    for domain, names in CLASSES.items():
        for name, colour in zip(names, PALETTE[domain], strict=True):
            assert seen.setdefault(name, colour) == colour
