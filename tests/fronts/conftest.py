"""In this room every test of a server is one of each front: the same assertions, and no other."""

import pytest

from lungct_client import Client
from lungct_tools.server.instance import FRONTS


@pytest.fixture(params=FRONTS)
def server(request):
    """One front after the other; each is started once for all tests."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def client(server):
    return Client(server)
