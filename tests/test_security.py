"""SECURITY.md points at what exists: files, settings, and tests by their names."""

import re

from lungct_tools import ROOT

TEXT = (ROOT / "SECURITY.md").read_text()
QUOTED = re.findall(r"`([^`]+)`", TEXT)


def table():
    """Rows of weak point, what covers it, what shows it."""
    section = TEXT.partition("## Known weak points")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_file_that_it_names_exists():
    paths = [each for each in QUOTED if "/" in each and " " not in each and not each.startswith("/")]
    assert len(paths) > 20
    for path in paths:
        assert (ROOT / path).is_file(), path


def test_every_weak_point_is_shown_to_be_covered_by_a_test_in_the_file_named_beside_it():
    assert len(table()) > 10
    for point, _, shown in table():
        named = re.findall(r"(?:`(test_\w+)` in )?`(tests/[\w/]+\.py)`", shown)
        assert named, point
        for test, file in named:
            assert not test or f"def {test}(" in (ROOT / file).read_text(), f"{test} is not in {file}"


def test_every_setting_that_it_names_is_set_as_it_says():
    properties = (ROOT / "config" / "config.properties").read_text()
    for line in ("allowed_urls=none://.*", "enable_model_api=false", "load_models=lung_ct=lung_ct.mar"):
        assert f"\n{line}\n" in properties
    assert "client_max_body_size" in (ROOT / "config" / "nginx" / "nginx.conf").read_text()
