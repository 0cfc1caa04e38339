"""What keeps the guard of a gateway from its work, and must not."""

import pytest

from lungct_tools.proxy import guard


@pytest.mark.parametrize("order", ["", "[]", '{"words": ["--listen"], "folder": "/nonexistent"}'])
def test_a_guard_that_cannot_start_the_supervisor_says_so_and_stays(tmp_path, capfd, order):
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "order.json").write_text(order)
    assert guard.try_again(tmp_path) is None
    assert "`make stop`, then `make gateway`" in capfd.readouterr().out
