"""What is measured of formats, overlays, memory and starts: what is sent, what is said of a result, and a short run."""

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from lungct_tools import ROOT
from lungct_tools.bench import formats
from lungct_tools.bench.bodies import COMPRESSED, DICOM, JPEG, LARGE, PNG, WIDE, Bodies
from lungct_tools.bench.codebase import OURS, Codebase, find_start
from lungct_tools.bench.formatpage import MARK, STEM, publish_formats, write_formats
from lungct_tools.bench.formatverdicts import judge_formats
from lungct_tools.bench.load import WRK_MISSING, find_wrk
from lungct_tools.bench.mixture import mix
from lungct_tools.bench.prober import probe
from lungct_tools.bench.report import fill_summary
from lungct_tools.bench.slices import draw_slices
from lungct_tools.bench.targets import Word
from tests.conftest import run_script
from tests.support.dicoms import read
from tests.support.results import make_formats, measured


@pytest.fixture(scope="module")
def bodies():
    return Bodies(draw_slices(count=2))


@pytest.fixture
def result():
    return make_formats()


def list_named(result, word):
    return [row.name for row in judge_formats(result) if row.word == word]


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_compressed_file_shows_what_the_uncompressed_one_shows(bodies, name):
    if name == "DICOM, JPEG-LS":
        pytest.importorskip("jpeg_ls", reason="nothing here encodes JPEG-LS")
    found = read(bodies.compress(name)[0])
    assert found.format == "DICOM"
    assert found.pixels.shape == (512, 512)
    if name != "DICOM, HTJ2K":  # of another slice, encoded once
        assert np.array_equal(found.pixels, read(bodies.dicoms[0]).pixels)


def test_large_pictures_have_the_sides_that_the_rows_name(bodies):
    assert {read(body).pixels.shape for body in bodies.wide} == {(WIDE, WIDE)}
    assert [read(body).format for body in bodies.large] == ["JPEG", "PNG"]
    assert {read(body).pixels.shape for body in bodies.large} == {(LARGE, LARGE)}


def test_files_that_are_scored_are_all_different(bodies, tmp_path):
    bodies.number(40, tmp_path / "scans")
    found = [path.read_bytes() for path in (tmp_path / "scans").iterdir()]
    assert len(set(found)) == 40
    assert {read(body).pixels.shape for body in found[:3]} == {(512, 512)}


def test_mixed_requests_are_the_same_each_time_of_every_format_and_map_with_ten_large_pictures(bodies):
    sent = list(islice(mix(bodies), 1_000))
    assert sent == list(islice(mix(bodies), 1_000))
    large = [body for body, _ in sent if body in bodies.large]
    assert len(large) == 10
    kinds = Counter(
        (files, options.get("X-Heatmap-Format"))
        for body, options in sent
        for files in ("jpegs", "pngs", "dicoms")
        if body in getattr(bodies, files)
    )
    assert len(kinds) == 12
    assert min(kinds.values()) > 60


def test_a_checkout_without_the_commit_has_nothing_to_be_held_against(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "none"))
    assert find_start(tmp_path / "start") is None
    assert not (tmp_path / "start").exists()


def test_code_that_is_unpacked_already_is_taken_as_it_is(tmp_path):
    place = tmp_path / "start"
    place.mkdir()
    assert find_start(place).root == place
    assert list(place.iterdir()) == []


def test_a_process_that_has_ended_is_told(tmp_path):
    with probe(OURS, tmp_path / "no model", 1) as prober, pytest.raises(RuntimeError, match="'engine' has ended"):
        prober.ask("engine")


def test_a_version_is_run_from_its_own_folder_with_its_own_modules_first(tmp_path):
    code = Codebase("other", tmp_path, lambda command: ["sh", "-c", f"echo $PYTHONPATH > {command}"], (tmp_path / "a",))
    code.run("said")
    assert (tmp_path / "said").read_text().startswith(str(tmp_path / "a"))


def test_what_is_just_good_enough_is_met(result):
    assert set(Counter(row.word for row in judge_formats(result))) == {Word.MET}
    assert len(judge_formats(result)) == 17


@pytest.mark.parametrize(
    ("path", "worse", "name"),
    [
        (("served", DICOM, "ours"), measured(95.0), "DICOM, uncompressed, 32 callers"),
        (("served", formats.OVERLAY, "ours"), measured(91.0), "JPEG overlay, 32"),
        (("served", formats.OVERLAY_PNG, "ours"), measured(74.0), "PNG overlay, 32"),
        (("inprocess", formats.NETWORK, "ours"), measured(150.0), "network alone"),
        (("score", formats.SCORE, "ours"), measured(90.0), "lungct score"),
        (("reading", "DICOM, RLE", "codec"), {"ms": [8.0, 8.0]}, "RLE"),
        (("inprocess", formats.PIPELINE, "start"), measured(110.0), "in-process limit, JPEG"),
        (("served", formats.WIDE, "ours"), measured(50.0), "2048"),
        (("served", formats.LARGE, "ours"), measured(3.0), "4k"),
        (("reading", DICOM, "start"), {"ms": [6.0] * 2, "cpu_ms": [5.0] * 2}, "CPU"),
        (("lives", "start", "memory_mb"), [500.0, 500.0], "memory"),
        (("lives", "ours", "start_s"), [4.0, 4.0], "first good reply"),
        (("lives", "ours", "reload_s"), [2.4, 2.4], "kill"),
    ],
)
def test_each_target_that_is_not_reached_is_missed(result, path, worse, name):
    *way, last = path
    place = result
    for key in way:
        place = place[key]
    place[last] = worse
    (missed,) = list_named(result, Word.MISSED)
    assert name in missed


def test_an_interval_that_holds_the_target_leaves_it_open(result):
    result["served"][DICOM]["ours"]["rate"] = [90.0, 112.0]
    result["lives"]["ours"]["memory_mb"] = [400.0, 510.0]
    assert [name.partition(" ")[0] for name in list_named(result, Word.OPEN)] == ["DICOM,", "memory"]


def test_the_start_stands_beside_ours_in_each_row_that_has_both(result):
    said = write_formats(result)
    assert f"| {DICOM} | 4.3 | 12.0 | 0.0 | 1.0 | 17.3 |" in said
    assert "| DICOM, uncompressed, 32 callers, of JPEG | ≥ 1.00 | 0.85 ± 0.00 | 1.02 ± 0.00 | met |" in said
    assert "| ≤ codec + 1.5 ms | 5.0 ± 0.0 ms more | 1.4 ± 0.0 ms more than 9.0 ms | met |" in said
    assert "mixed requests | ≤ 0.75 x the start | 611 MB | 0.72 ± 0.00 x: 440 MB | met |" in said
    assert "The start is version 1.4 (commit 087aed8 of 2026-11-27)" in said


def test_without_the_start_its_rows_are_left_out_and_that_is_said(result):
    for group in ("served", "inprocess", "reading", "score"):
        for by_whom in result[group].values():
            by_whom.pop("start", None)
    result["start"] = None
    del result["lives"]["start"]
    assert len(judge_formats(result)) == 10
    assert "is not in this checkout's history" in write_formats(result)


def test_what_was_not_measured_is_told_with_its_reason(result):
    result["missing"]["DICOM, JPEG-LS"] = "no encoder"
    del result["served"][formats.WIDE], result["reading"]["DICOM, JPEG-LS"]
    rows = {row.name: row.reached for row in judge_formats(result) if row.word == Word.UNMEASURED}
    assert rows == {
        "DICOM, JPEG-LS: a file read": "no encoder",
        "JPEG of 2048 x 2048, 32 callers": "left out of a quick run",
    }


def test_failed_requests_and_rates_of_zero_are_failures(result):
    assert not formats.list_failures(result)
    result["served"][DICOM]["ours"]["errors"] = 1  # another than what stands beside `lungct score`
    result["served"][formats.LARGE]["start"]["errors"] = 3
    result["score"][formats.SCORE]["ours"]["rate"] = [90.0, 0.0]
    result["lives"]["start"]["errors"] = 2
    said = formats.list_failures(result)
    assert [line.partition(":")[0] for line in said] == [
        f"errors of {DICOM}, ours",
        f"errors of {formats.LARGE}, start",
        f"a rate of zero of {formats.SCORE}, ours",
        "errors of the mixed requests, start",
    ]


def test_a_result_is_published_as_table_picture_and_json(result, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"<!-- {MARK} -->\nold\n<!-- end of {MARK} -->\n")
    publish_formats(result, tmp_path, page)
    assert write_formats(result) in page.read_text()
    assert json.loads((tmp_path / f"{STEM}.json").read_text()) == json.loads(json.dumps(result))
    assert (tmp_path / f"{STEM}.png").stat().st_size > 5_000


def test_the_page_says_what_the_last_result_on_formats_says():
    result = json.loads((ROOT / "docs" / f"{STEM}.json").read_text())
    page = (ROOT / "docs" / "performance.md").read_text()
    assert fill_summary(page, write_formats(result), MARK) == page
    assert result["reading"].keys() | result["missing"].keys() == {JPEG, PNG, DICOM, *COMPRESSED}


@pytest.mark.ops
@pytest.mark.server
@pytest.mark.timeout(1800)  # a minute alone
@pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)
def test_a_quick_run_on_formats_measures_both_versions_and_leaves_the_page_alone(tmp_path):
    page = (ROOT / "docs" / "performance.md").read_bytes()
    done = run_script("bench", "--formats", "--quick", "--out", tmp_path, timeout_s=1780)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / f"{STEM}.json").read_text())
    whose = {"ours", "start"} if result["start"] else {"ours"}
    assert set(result["lives"]) == set(result["served"][DICOM]) == set(result["inprocess"][formats.PIPELINE]) == whose
    assert all(found["ms"][0] > 0 for kinds in result["reading"].values() for found in kinds.values())
    assert all(life["memory_mb"][0] > 100 and life["reload_s"][0] > 0 for life in result["lives"].values())
    assert result["score"][formats.SCORE]["ours"]["rate"][0] > 0
    assert all(spent["Java"] > 0 < spent["worker"] for spent in result["cpu"].values())
    assert result["cpu"].keys() == {JPEG, DICOM}
    assert done.stdout.count("\n| ") == 4 + len(judge_formats(result)) + len(result["cpu"])
    assert (ROOT / "docs" / "performance.md").read_bytes() == page
