"""The folder in which large slices wait: the gateway's own, or it does not start."""

import os

import pytest

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
