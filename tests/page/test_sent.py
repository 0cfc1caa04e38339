"""What the page sends its viewer, with the real pipeline in this process instead of a server."""

from lungct.pixels.image import read_plane
from lungct.settings import Settings
from lungct_tools.page.lightbox import BROKEN, WANTED
from lungct_tools.page.study import OPTIONS
from tests.support.series import draw_series, refused_slice
from tests.support.visit import find_sent, open_page, read_sent, said, upload


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


def test_slices_that_the_viewer_wants_come_with_their_own_map_and_answer_and_no_others(page, desk):
    bodies = draw_series(6)
    upload(page, *((f"{number}.dcm", body) for number, body in enumerate(bodies)), ("notes.dcm", refused_slice()))
    page.slider(key="at").set_value(4).run()
    names = list(page.dataframe[0].value["file"])
    refused = names.index("notes.dcm") + 1
    page.session_state[WANTED] = [5, 3, 99, 0, 4, refused]
    page.run()
    slices, pixels = read_sent(page)
    assert [each["at"] for each in slices] == [4, 5, 3, refused]
    assert slices[-1] == {"at": refused, "plane": 0, "levels": 0}  # it cannot be drawn
    assert sum(each["plane"] + each["levels"] for each in slices) == len(pixels)
    for sent in slices[:-1]:
        body = bodies[int(names[sent["at"] - 1].split(".")[0])]
        reply = desk.predict(body, **OPTIONS)
        assert f"{reply['label']} {reply['confidence']:.1%}" in sent["answer"]
        assert sent["answer"].startswith(f"{sent['at']} of 7. {reply['decision'].capitalize()}.")
        hu, pixels = pixels[: sent["plane"]], pixels[sent["plane"] + sent["levels"] :]
        assert hu == read_plane(body, Settings()).hu.tobytes()
    page.run()
    assert len(read_sent(page)[0]) == 1  # once


def test_other_wishes_and_another_study_make_what_was_sent_before_worthless(page, dicom):
    scopes = []
    for _ in range(2):
        upload(page, ("slice", dicom))
        scopes.append(find_sent(page)[0]["scope"])
        page.segmented_control(key="map_of").set_value("Benign").run()
        scopes.append(find_sent(page)[0]["scope"])
        page.slider(key="opacity").set_value(20).run()
        assert find_sent(page)[0]["scope"] == scopes[-1]
        page.segmented_control(key="map_of").set_value("Predicted").run()
        page.file_uploader[0].clear()
    assert len(set(scopes)) == 4
