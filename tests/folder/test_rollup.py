"""From rows to series: the rule, what counts once, what is one series and what cannot be assessed."""

import csv
import io
import re
from itertools import permutations

import pytest

from lungct_tools.folder.header import Place
from lungct_tools.folder.record import describe_file, describe_place, write_csv
from lungct_tools.folder.rollup import NOT_ASSESSABLE, add_up, tell_series, write_series
from tests.support.dicoms import build_ct
from tests.support.rows import CLASSES, make_row


def roll_up(*rows):
    """The only series of these rows."""
    (series,) = add_up(rows, CLASSES, 0).series
    return series


def test_a_series_follows_its_third_most_worrying_slice():
    rows = [
        make_row("a", 0.9, "Malignant"), make_row("b", 0.8, "Malignant"), make_row("c", 0.3, "Benign"), make_row("d"),
    ]  # fmt: skip
    series = roll_up(*rows)
    assert (series["label"], series["suspicion"], series["peak_file"]) == ("Benign", 0.3, "a")
    assert series["decision"] == "report"
    assert [found["file"] for found in add_up(rows, CLASSES, 2).suspicious] == ["a", "b"]


def test_a_series_with_a_refused_or_referred_slice_is_referred():
    for doubtful in (make_row("b", error="corrupt_image"), make_row("b", decision="refer")):
        assert roll_up(make_row("a"), make_row("c"), make_row("d"), doubtful)["decision"] == "refer"


SHARES = [(2, 0, False), (3, 0, True), (3, 3, True), (3, 4, False), (1, 57, False), (0, 1, False)]


@pytest.mark.parametrize(("scored", "refused", "assessable"), SHARES)
def test_fewer_than_three_or_than_half_of_the_axial_slices_say_nothing_of_a_series(scored, refused, assessable):
    rows = [make_row(f"s{n}", 0.9, "Malignant") for n in range(scored)]
    rows += [make_row(f"r{n}", error="not_a_ct_slice") for n in range(refused)]
    series = roll_up(*rows)
    assert (series["label"] != NOT_ASSESSABLE, series["suspicion"] != "") == (assessable, assessable)
    assert (series["scored"], series["refused"]) == (scored, refused)
    assert (series["decision"] == "refer") == (refused > 0 or not assessable)
    assert (series["peak"] != "") == (scored > 0)


def test_scouts_other_planes_and_objects_without_pixels_are_no_axial_slices_that_are_missing():
    scouts = [make_row(f"r{n}", error="unsupported_dicom", axial=False) for n in range(9)]
    series = roll_up(*scouts, *(make_row(name) for name in "abc"))
    assert (series["label"], series["refused"], series["decision"]) == ("Normal", 9, "refer")


def test_series_that_cannot_be_assessed_stand_by_their_most_worrying_slice():
    rows = [make_row(name, 0.2, series="whole") for name in "abc"] + [make_row("d", 0.8, "Malignant", series="one")]
    assert [series["series"] for series in add_up(rows, CLASSES, 0).series] == ["one", "whole"]


COPIES = {
    "equal bytes": [{"sha256": "1" * 64}, {"sha256": "1" * 64}],
    "equal pixels": [{"pixels_sha256": "1" * 64}, {"pixels_sha256": "1" * 64}],
    "one instance at one spot": [{"instance": "i", "spot": "p.1"}, {"instance": "i", "spot": "p.1"}],
    "equal pixels numbered anew": [
        {"pixels_sha256": "1" * 64, "instance": instance, "spot": f"p.{instance}"} for instance in "12"
    ],
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_counts_once_and_is_told(kind):
    one, other = COPIES[kind]
    rows = [make_row("a"), make_row("b"), make_row("c"), make_row("IM9", 0.9, "Malignant", **one)]
    rows += [make_row(f"IM9 ({n})", 0.9, "Malignant", **other) for n in (1, 2)]
    for order in permutations(rows):
        series = roll_up(*order)
        assert (series["label"], series["suspicion"]) == ("Normal", 0.1)
        assert (series["slices"], series["copies"], series["scored"]) == (4, 2, 4)
    totals = add_up(rows, CLASSES, 10)
    assert (totals.copies, totals.slices, totals.labels["Malignant"], len(totals.suspicious)) == (2, 6, 1, 4)
    assert "2 copies" in tell_series(series)
    assert tell_series(series).startswith("Report, class Normal: 4 of 4")


def test_a_copy_without_its_position_is_one_of_the_slice_that_has_one_and_of_no_more():
    placed = [make_row(spot, pixels_sha256="1" * 64, instance=spot, spot=f"{spot}.1") for spot in "pq"]
    for count, instance in ((1, "p"), (2, "")):
        bare = [make_row(name, pixels_sha256="1" * 64, instance=instance, spot=".1") for name in ("bare", "again")]
        for order in permutations([*placed[:count], *bare]):
            series = roll_up(*order)
            assert (series["scored"], series["copies"], series["warnings"]) == (count, 2, "")
    assert [bool(find_position(position)) for position in ([1, 2, 3], None)] == [True, False]


def test_one_uid_for_all_slices_of_a_series_makes_no_copies_of_them():
    rows = [make_row(str(n), pixels_sha256=str(n) * 64, instance="i", spot=".") for n in range(4)]
    series = roll_up(*rows, rows[0])
    assert (series["scored"], series["copies"], series["warnings"][:15]) == (4, 1, "1 instance UIDs")
    body = build_ct(SeriesInstanceUID="1.2")
    assert describe_file("x", body)["spot"] == "."


@pytest.mark.parametrize("instances", ["unique", "equal"])
def test_of_two_patients_who_got_the_same_uids_none_is_lost_in_silence(instances):
    """As tools write them that give fixed UIDs, or copy one header for everybody."""
    rows = []
    for patient in ("MRN-1", "MRN-2"):
        for number in range(3):
            name = f"{patient}/{number}"
            uid = f"1.2.{number}" if instances == "equal" else f"1.2.{number}.{patient[-1]}"
            made = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "SOPInstanceUID": uid}
            body = build_ct(**made, PatientID=patient, ImagePositionPatient=[0, 0, number], InstanceNumber=number)
            rows.append(make_row(name) | describe_file(name, body) | {"pixels_sha256": name})
    series = roll_up(*rows)
    assert (series["scored"], series["copies"], series["decision"]) == (6, 0, "refer")
    assert "Slices of 2 patients have the UIDs of this series." in series["warnings"]
    assert roll_up(*rows[:3])["decision"] == "report"
    assert len(rows[0]["patient"]) == 3  # too few digits to find the number by trial


def find_position(position):
    """What the row of a file with this position has before its numbers; "" where the file tells none."""
    row = describe_file("x", build_ct(SeriesInstanceUID="1.2", ImagePositionPatient=position, InstanceNumber=7))
    return row["spot"].partition(".")[0]


def test_one_slice_in_three_syntaxes_of_which_one_is_refused_is_one_scored_slice():
    marks = {"instance": "i", "spot": "p"}
    rows = [
        make_row("a"),
        make_row("b"),
        make_row("jpegls", error="corrupt_image", **marks),
        make_row("plain", **marks),
    ]
    for order in permutations(rows):
        series = roll_up(*order)
        assert (series["slices"], series["copies"], series["refused"], series["decision"]) == (3, 1, 0, "report")


def test_copies_of_a_refused_file_are_one_refused_slice_and_files_that_cannot_be_read_are_no_copies():
    refused = [make_row(name, error="corrupt_image", sha256="1" * 64) for name in "ab"]
    unread = [make_row(name, error="unreadable_file", sha256="") for name in "cd"]
    series = roll_up(*refused, *unread)
    assert (series["slices"], series["copies"], series["refused"]) == (3, 1, 3)


def test_equal_slices_in_two_series_are_no_copies():
    rows = [make_row(f"{name}{n}", series=name, pixels_sha256=str(n) * 64) for name in "ab" for n in range(3)]
    assert [(series["scored"], series["copies"]) for series in add_up(rows, CLASSES, 0).series] == [(3, 0), (3, 0)]


def test_one_instance_at_two_positions_is_two_slices_and_a_warning():
    rows = [make_row("a"), make_row("b"), *(make_row(spot, instance="i", spot=spot) for spot in "pq")]
    series = roll_up(*rows)
    assert (series["scored"], series["copies"]) == (4, 0)
    assert "1 instance UID" in series["warnings"]
    assert series["warnings"] in tell_series(series)
    assert roll_up(*rows[:3])["warnings"] == ""


def test_one_series_uid_in_two_studies_is_two_series():
    rows = [make_row(f"{study}{n}", study=study) for study in ("p1", "p2") for n in range(3)]
    found = add_up(rows, CLASSES, 0).series
    assert [(series["study"], series["slices"]) for series in found] == [("p1", 3), ("p2", 3)]
    uids = [describe_place("x", Place(study, "1.2.3", 0.0), show) for study in "ab" for show in (False, True)]
    assert len({(row["study"], row["series"]) for row in uids}) == 4


FORMULAS = (
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", '=HYPERLINK("http://h.example","x")', "a;=1+1;.png",
    'a;"=1+1"', "a, -1", "a\t@x", "a\n=1", '"=1"',
)  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_no_cell_of_a_table_is_a_formula_whatever_a_file_is_called(name):
    row = {**make_row(name, series=name), "message": name}
    slices, series = io.StringIO(), io.StringIO()
    write_csv([row], CLASSES, slices, {name: name})
    write_series(add_up([row], CLASSES, 0).series, series, {name: name})
    for stream in (slices, series):
        # wherever spreadsheets of any country end a cell, whatever quotes are around it
        cells = [cell.strip(' "') for cell in re.split(r"[,;\t\r\n]", stream.getvalue())]
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@\uff1d"))]


def test_names_and_numbers_that_are_no_formula_stay_as_they_are():
    stream = io.StringIO()
    write_csv([make_row("scan-1/a=b (2)+c@d.png", -0.5)], CLASSES, stream, {})
    (read,) = csv.DictReader(io.StringIO(stream.getvalue()))
    assert (read["file"], read["probability_Malignant"]) == ("scan-1/a=b (2)+c@d.png", "-0.5")
