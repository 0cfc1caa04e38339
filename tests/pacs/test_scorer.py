"""Slices through servers that refuse us and not the slice."""

import pytest

from lungct_client import Gateway, TokenError
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.source import open_source
from lungct_tools.pacs.scorer import Scorer
from tests.conftest import MODEL
from tests.support.peers import reply, web
from tests.support.series import draw_series


@pytest.fixture
def source(tmp_path):
    (tmp_path / "slice.dcm").write_bytes(draw_series(1)[0])
    return open_source(tmp_path)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_the_gateway_no_longer_knows_makes_no_row_of_a_refused_slice(source, status):
    def answer(handler):
        if handler.command == "GET":
            reply(200, (MODEL / "model.json").read_bytes())(handler)
        else:
            reply(status, b'{"error": "unauthorized", "message": "Ask the operator for a key."}')(handler)

    with web(answer) as (address, asked):
        scorer = Scorer(Fleet([Gateway(address, "key")], 5))
        for act in (scorer.score, scorer.draw):
            with pytest.raises(TokenError, match="Ask the operator"):
                act(source, "slice.dcm")
    assert len(asked) == 3
