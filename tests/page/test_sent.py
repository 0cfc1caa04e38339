"""What the page sends its viewer, with the real pipeline in this process instead of a server."""

from lungct_tools.page.lightbox import BROKEN
from tests.support.visit import find_sent, open_page, said, upload


def test_the_viewer_gets_hu_and_a_window_of_a_dicom_slice_and_gray_levels_of_a_picture(page, dicom, slices):
    upload(page, ("slice", dicom))
    (sent,) = find_sent(page)
    assert (sent["window"], sent["at"], sent["count"]) == ({"center": -500, "width": 1500}, 1, 1)
    page.segmented_control(key="view").set_value("Bone").run()
    (windowed,) = find_sent(page)
    assert windowed["window"] == {"center": 400, "width": 1800}
    assert windowed["mark"] == sent["mark"]  # the same plane, so nothing is decoded or drawn anew
    assert "no result changes" in said(page)
    (picture,) = find_sent(upload(open_page(), ("a.png", slices[0])))
    assert picture["window"] is None


def test_without_a_viewer_slice_and_overlay_are_two_pictures(page, slices):
    page.session_state[BROKEN] = True
    upload(page, ("a.png", slices[0]))
    assert not find_sent(page)
    page.segmented_control(key="map_of").set_value("Malignant").run()
    alone = "No positive evidence" in said(page)
    assert len(page.get("image")) == 2 - alone
