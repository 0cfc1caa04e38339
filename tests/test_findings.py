"""What the pages on outside software name of ours exists, and each finding says what was believed and what is true."""

import re

import pytest

from lungct_tools import ROOT

FINDINGS = ROOT / "findings"
SCRIPTS = sorted(FINDINGS.glob("*.sh"))
TABLE = (FINDINGS / "README.md").read_text()
BELIEFS = (ROOT / "docs" / "beliefs.md").read_text()


def test_the_table_has_a_row_for_each_finding_and_no_other():
    assert sorted(re.findall(r"^\| \[.+?\]\((\w+\.sh)\)", TABLE, re.MULTILINE)) == [path.name for path in SCRIPTS]


@pytest.mark.parametrize("text", [TABLE, BELIEFS], ids=["findings", "beliefs"])
def test_files_of_ours_that_are_named_exist(text):
    named = set(re.findall(r"`((?:config|docs|findings|handler|scripts|tests)/[\w./-]+)", text))
    assert named
    assert not {name for name in named if not (ROOT / name).exists()}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_finding_begins_with_what_was_believed_what_is_true_where_and_why_it_matters(path):
    head = re.findall(r"^# (\w+): +\S", path.read_text().partition("source ")[0], re.MULTILINE)
    assert head == ["Believed", "True", "Version", "Matters"]
