"""Slices through servers that refuse us and not the slice."""

import pytest

from lungct_client import Gateway, TokenError
from lungct_tools.folder.fleet import Fleet
from lungct_tools.pacs.scorer import Scorer
from tests.conftest import MODEL
from tests.support.peers import reply, web
from tests.support.series import draw_series


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_the_gateway_no_longer_knows_makes_no_row_of_a_refused_slice(status):
    def answer(handler):
        if handler.command == "GET":
            reply(200, (MODEL / "model.json").read_bytes())(handler)
        else:
            reply(status, b'{"error": "unauthorized", "message": "Ask the operator for a key."}')(handler)

    with web(answer) as (address, asked):
        scorer = Scorer(Fleet([Gateway(address, "key")], 5))
        for act in (lambda body: scorer.score("slice.dcm", body), scorer.draw):
            with pytest.raises(TokenError, match="Ask the operator"):
                act(draw_series(1)[0])
    assert len(asked) == 3
