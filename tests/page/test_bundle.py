"""The viewer's bundle is what its sources make, and says what is inside. Whoever uses the page needs no node."""

import json
import re
from hashlib import sha256

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from lungct_tools.page.lightbox import BUILT
from tests.support.npm import run_npm

FRONT = BUILT.parent
MAX_BYTES = 4_000_000
BILL = json.loads((BUILT / "sbom.json").read_text())
PERMISSIVE = {"Apache-2.0", "BSD-3-Clause", "ISC", "MIT", "(WTFPL OR MIT)"}


def list_parts(kind):
    return [part for part in BILL["components"] if part["type"] == kind]


def test_a_fresh_build_gives_the_committed_bytes(front):
    run_npm(front, "run", "build")
    made, kept = ({path.name: path.read_bytes() for path in each.iterdir()} for each in (front / "built", BUILT))
    assert made.keys() == kept.keys()
    assert [name for name in kept if made[name] != kept[name]] == []


def test_the_bill_has_the_hash_of_every_file_and_the_bundle_is_small():
    files = {path.name: path.read_bytes() for path in BUILT.iterdir()}
    assert {part["name"]: part["hashes"][0]["content"] for part in list_parts("file")} == {
        name: sha256(body).hexdigest() for name, body in files.items() if name != "sbom.json"
    }
    assert sum(map(len, files.values())) < MAX_BYTES


def test_the_bill_lists_what_is_inside_with_licences_that_stand_beside_it():
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(BILL)) is None
    licences = (BUILT / "LICENCES.txt").read_text()
    locked = json.loads((FRONT / "package-lock.json").read_text())["packages"]
    assert len(list_parts("library")) > 10
    for part in list_parts("library"):
        (row,) = part["licenses"]
        licence = row.get("expression") or row["license"]["id"]
        assert licence in PERMISSIVE, part["name"]
        assert re.search(rf"^{re.escape(part['name'])} {part['version']} \({re.escape(licence)}\)$", licences, re.M)
        assert locked[f"node_modules/{part['name']}"]["version"] == part["version"]


def test_versions_are_exact_and_the_lock_has_hashes_and_names_no_registry():
    package = json.loads((FRONT / "package.json").read_text())
    for version in (package["dependencies"] | package["devDependencies"]).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    rows = json.loads((FRONT / "package-lock.json").read_text())["packages"]
    assert all("integrity" in row and "resolved" not in row for name, row in rows.items() if name)


def test_the_viewer_may_reach_nothing_but_its_own_files():
    page = (BUILT / "index.html").read_text()
    assert "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob:\"" in page
    assert re.findall(r'(?:src|href)="([^"]+)"', page) == ["style.css", "start.js"]
    assert not re.search(r"\bnew Function\(|\beval\(", (BUILT / "viewer.js").read_text())
