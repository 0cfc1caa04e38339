"""The pictures that the page draws, on the screen and to keep."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from lungct import NOTICE
from lungct.heatmap.gradcam import activate
from lungct.heatmap.render import overlay, spread
from lungct.model.preprocess import place
from lungct.pipeline import Job
from lungct.pixels.image import Slice
from lungct_tools.page.picture import COLOURS, draw_overlay, list_colours, make_map, make_sheet, sample_colours
from tests.support.dicoms import read


def test_the_page_draws_what_the_server_draws(pipeline, slices, phantoms):
    options = {"X-Heatmap": "always", "X-Heatmap-Class": "Malignant", "X-Heatmap-Format": "grid"}
    reply = json.loads(pipeline.score([Job({"body": slices[0]}, options)]).replies[0].body)
    options |= {"X-Heatmap-Format": "png", "X-Heatmap-Colormap": "viridis"}
    row = Job({"body": slices[0]}, {**options, "Accept": "image/png"})
    served = np.asarray(Image.open(io.BytesIO(pipeline.score([row]).replies[0].body)))
    drawn = make_map(reply["heatmap"], "Malignant", read(slices[0]), pipeline.contract.geometry)
    ours = draw_overlay(phantoms[0], drawn, "viridis", 0.5)
    assert np.abs(ours.astype(int) - served.astype(int)).max() <= 2  # the grid is rounded to five digits


def test_a_map_lies_on_the_slice_and_not_on_its_padding():
    grid = np.zeros((7, 7), np.float32)
    grid[3, 3] = 1
    flat = np.zeros((100, 300), np.uint8)
    drawn = make_map({"grids": {"A": grid.tolist()}}, "A", Slice(flat, "PNG", None, ""), "pad")
    tall = make_map({"grids": {"A": grid.tolist()}}, "A", Slice(flat, "PNG", None, "", aspect=2.0), "pad")
    assert (tall.levels == spread(activate(grid).map, place(100, 300, "pad", 2.0))).all()
    assert drawn.levels.shape == (100, 300)
    assert np.unravel_index(drawn.levels.argmax(), (100, 300)) == pytest.approx((50, 150), abs=2)
    assert (drawn.levels == spread(activate(grid).map, place(100, 300, "pad"))).all()
    assert overlay(flat, drawn.levels, "jet").shape == (100, 300, 3)


@pytest.mark.parametrize("colours", COLOURS)
def test_the_colour_bar_runs_from_low_to_high_and_safe_maps_get_lighter(colours):
    found = [tuple(map(int, colour[4:-1].split(","))) for colour in sample_colours(colours)]
    lightness = [0.3 * r + 0.59 * g + 0.11 * b for r, g, b in found]
    assert len(set(found)) == 9
    assert (lightness == sorted(lightness)) == (colours != "jet")


def test_the_picture_to_keep_carries_the_notice(phantoms):
    sheet = make_sheet(phantoms[0], None, "jet", ("line",))
    assert NOTICE.encode() in sheet
    alone, both = Image.open(io.BytesIO(sheet)), make_sheet(phantoms[0], np.zeros((512, 512, 3), np.uint8), "jet", ())
    assert Image.open(io.BytesIO(both)).width > 1.9 * alone.width


def test_a_long_line_under_the_picture_is_broken_and_a_short_one_is_not(phantoms):
    sheets = [make_sheet(phantoms[0], None, "jet", [line]) for line in ("word", "word " * 60)]
    short, long = (Image.open(io.BytesIO(sheet)) for sheet in sheets)
    assert short.width == long.width
    assert short.height < long.height
    ink = np.asarray(long.convert("L"))[-100:] < 128
    assert not ink[:, :8].any()
    assert not ink[:, -8:].any()


@pytest.mark.parametrize("colours", COLOURS)
def test_the_viewer_gets_the_colours_that_the_server_draws_with(colours):
    levels = np.arange(256, dtype=np.uint8)[None]
    assert (overlay(levels, levels, colours, 1.0)[0, :, ::-1] == list_colours(colours)).all()
