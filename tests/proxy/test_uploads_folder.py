"""The folder in which large slices wait: the gateway's own, or it does not start."""

import os
import stat

import pytest

from lungct_tools.proxy.gateway import claim_uploads
from lungct_tools.proxy.nginx import GatewayError
from tests.conftest import run_script
from tests.support.gateways import skip_without_nginx
from tests.support.standins import run_stand_in

NOBODY = 65534


@pytest.mark.skipif(os.getuid() != 0, reason="only root can own folders of others")
@pytest.mark.parametrize("name", ["folder", "link"])
def test_patients_slices_do_not_pass_through_a_folder_that_another_user_prepared(tmp_path, name):
    skip_without_nginx()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.chown(tmp_path / name, NOBODY, NOBODY, follow_symlinks=False)
    (tmp_path / "run").mkdir(mode=0o700)
    with run_stand_in(tmp_path / "run") as server:
        server.keys.write_text('{"inference": {"key": "k"}}')
        place = ("--run", server.run, "--clients", tmp_path / "clients.map", "--uploads", tmp_path / name)
        done = run_script("gateway", *place, "--listen", "127.0.0.1:1")
    assert (done.returncode, f"user {NOBODY}" in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "target").exists()


def prepare(folder, mode, *inside):
    folder.mkdir()
    for name in inside:
        (folder / name).touch()
    folder.chmod(mode)
    return folder


def test_a_fresh_mount_that_everybody_may_write_to_is_taken_and_closed(tmp_path):
    folder = prepare(tmp_path / "tmpfs", 0o1777)
    assert claim_uploads(folder) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_one_in_which_something_lies_already_is_refused_and_stays_as_it_was(tmp_path):
    folder = prepare(tmp_path / "shared", 0o1777, "of somebody")
    with pytest.raises(GatewayError, match="--uploads: Everybody can write to .* within a mount, not the mount itself"):
        claim_uploads(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777


def test_a_folder_that_others_may_read_is_left_to_them(tmp_path):
    """What passes through it is for its owner only all the same; `--uploads /` must not close a machine."""
    folder = prepare(tmp_path / "srv", 0o755, "a site")
    assert claim_uploads(folder) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
