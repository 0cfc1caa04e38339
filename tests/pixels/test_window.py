import numpy as np
import pytest

from lungct.window import LUNG, Window


@pytest.mark.parametrize(("hu", "gray"), [(-1024, 38), (-32768, 38), (-100, 196), (35, 218), (250, 255), (3000, 255)])
def test_the_lung_window_shows_air_fat_and_muscle_as_the_training_images_do(hu, gray):
    assert LUNG.render(np.array([[hu]], np.int16)).tolist() == [[gray]]


def test_air_is_the_gray_level_that_padding_must_have():
    assert LUNG.air == 38
    assert Window(40, 400).air == 0


def test_rounding_is_half_up_and_not_to_even():
    window = Window(127.5, 255)  # one HU a gray level
    assert window.render(np.array([[0.5, 1.5, 2.5]])).tolist() == [[1, 2, 3]]
