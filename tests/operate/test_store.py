"""What an update writes into the model store, where others may have prepared links."""

from lungct_tools.operate.update import put
from lungct_tools.server.seal import find_seal, fits
from tests.support.standins import make_archive


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
