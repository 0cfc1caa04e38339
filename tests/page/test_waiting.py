"""What the page shows while slices are being scored."""

from streamlit.testing.v1 import AppTest

from lungct_tools.page.study import OPTIONS, Finding
from lungct_tools.page.uploads import Upload
from tests.support.visit import said


def wait(count, contract, findings):
    """A page that has been told of each of the findings."""
    import streamlit as st

    from lungct_tools.page.waiting import Waiting

    waiting = Waiting(st.empty(), count, contract)
    for number in range(len(findings)):
        waiting.advance(findings[: number + 1])


def draw(*args):
    page = AppTest.from_function(wait, args=args, default_timeout=60).run()
    assert not page.exception
    return page


def test_the_first_slice_that_is_scored_is_shown_with_its_own_answer_while_the_others_are_on_their_way(desk, slices):
    refused = Finding(Upload("scout.dcm", b""), error="not_ct_slice", message="No.")
    scored = [Finding(Upload(f"*{n}*", body), reply=desk.predict(body, **OPTIONS)) for n, body in enumerate(slices[:2])]
    page = draw(300, desk.contract(), [refused, *scored])
    text = said(page)
    assert r"**First of 300 slices:** \*0\*. The others follow." in text
    assert "not_ct_slice" not in text
    assert f"Confidence {scored[0].reply['confidence']:.1%}" in text
    assert text.count("Confidence ") == 1
    assert len(page.get("image")) == 1


def test_few_slices_are_all_there_at_once(desk, slices):
    page = draw(3, desk.contract(), [Finding(Upload("a", slices[0]), reply=desk.predict(slices[0], **OPTIONS))])
    assert "Confidence" not in said(page)
