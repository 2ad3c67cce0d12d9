from typing import get_args

from engine.data.normalisation import NORMALISATIONS, Norm


def test_every_normalisation_can_be_chosen():
    names, _ = get_args(Norm)
    assert set(get_args(names)) == set(NORMALISATIONS)


def test_means_and_deviations_are_of_pixel_values_from_0_to_1():
    for mean, std in NORMALISATIONS.values():
        assert len(mean) == len(std) == 3
        assert all(0 <= value < 1 for value in mean) and all(0 < value <= 1 for value in std)
