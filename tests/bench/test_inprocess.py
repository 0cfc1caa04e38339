"""What the benchmark times without a server."""

from lungct_tools.bench.inprocess import OriginalPage, make_plain_network
from lungct_tools.bench.slices import draw_slices


def test_the_heatmaps_of_the_original_page_leave_no_hooks_in_the_network_that_others_time(folder):
    network = make_plain_network(folder)
    page = OriginalPage(network)
    assert page.run(draw_slices(count=1), threads=2, seconds=0.1, heatmap=True).rate > 0
    assert not any(module._forward_hooks for module in network.modules())
