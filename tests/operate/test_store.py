"""What an update writes into the model store, where others may have prepared links."""

import os
import stat

import pytest

from lungct_tools.operate.place import put
from lungct_tools.server import runfolder
from lungct_tools.server.seal import find_seal, fits
from tests.support.standins import make_archive

STRANGER = 4321


@pytest.fixture
def prepare(monkeypatch):
    """Make a link of another user's; or ours count as such, who cannot give it away."""

    def link(place, target):
        place.symlink_to(target)
        if os.geteuid() == 0:
            os.lchown(place, STRANGER, STRANGER)
        else:
            monkeypatch.setattr(runfolder.os, "geteuid", lambda: STRANGER)

    return link


def test_no_link_that_lies_in_the_store_leads_an_update_to_another_file(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    old, new = make_archive(tmp_path / "store", which="old"), make_archive(tmp_path / "new", which="new")
    for name in ("new", "previous", "previous.new", "sha256.next", "sha256.next.new", "previous.sha256.new"):
        old.with_name(f"{old.name}.{name}").symlink_to(precious)
    put(new, old.parent, find_seal(old))
    assert precious.read_text() == "precious"
    for archive in (old, old.with_name(f"{old.name}.previous")):
        assert fits(archive)
        assert not archive.is_symlink()


def test_what_another_users_links_in_the_place_of_archive_and_seal_lead_to_is_copied_nowhere(tmp_path, prepare):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    store, new = tmp_path / "store", make_archive(tmp_path / "new", which="new")
    store.mkdir()
    place = store / new.name
    prepare(place, secret)
    prepare(find_seal(place), secret)
    put(new, store, find_seal(place))
    assert fits(place)
    assert not place.is_symlink()
    assert "secret" not in {file.read_text(errors="replace") for file in store.iterdir()}
    assert secret.read_text() == "secret"


def test_an_archive_that_our_own_link_led_to_is_the_one_of_before(tmp_path):
    version = make_archive(tmp_path / "version", which="old")
    store, new = tmp_path / "store", make_archive(tmp_path / "new", which="new")
    store.mkdir()
    place = store / new.name
    place.symlink_to(version)
    find_seal(place).symlink_to(find_seal(version))
    before = version.read_bytes()
    put(new, store, find_seal(place))
    assert fits(place)
    assert version.read_bytes() == before == place.with_name(f"{place.name}.previous").read_bytes()
    assert fits(place.with_name(f"{place.name}.previous"))


def test_an_archive_for_its_owner_only_stays_so_and_so_does_the_one_of_before(tmp_path):
    old, new = make_archive(tmp_path / "store", which="old"), make_archive(tmp_path / "new", which="new")
    old.chmod(0o600)
    new.chmod(0o600)
    put(new, old.parent, find_seal(old))
    for archive in (old, old.with_name(f"{old.name}.previous")):
        assert stat.S_IMODE(archive.stat().st_mode) == 0o600
