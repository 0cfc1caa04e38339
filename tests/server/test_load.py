"""The load generators against a small server that keeps its own count."""

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lungct_tools.bench.load import WRK_MISSING, Target, find_wrk, run_closed, run_open

needs_wrk = pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.bodies.append(body)
            pause = self.server.pauses.pop() if self.server.pauses else 0
        time.sleep(pause)
        if self.server.work:
            self.server.work()
        if self.server.batch:
            with suppress(threading.BrokenBarrierError):  # the callers are gone
                self.server.batch.wait(2)
        self.send_response(500 if body == b"bad" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # with the 5 of the library some callers connect a second late


@pytest.fixture
def server():
    server = Server(("127.0.0.1", 0), Echo)
    server.lock, server.bodies, server.pauses = threading.Lock(), [], []
    server.batch = server.work = None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def aim_at(server, *bodies):
    return Target(server.server_address[1], "/", {"X-Test": "yes"}, bodies)


@needs_wrk
def test_a_closed_loop_sends_the_bodies_in_turn_and_counts_what_the_server_counted(server):
    sample = run_closed(aim_at(server, b"one", b"three"), concurrency=2, seconds=1)
    assert sample.errors == 0
    assert 0 < sample.rate < sample.answered <= len(server.bodies) <= sample.answered + 2
    halves = [server.bodies.count(body) for body in (b"one", b"three")]
    assert sum(halves) == len(server.bodies)
    assert abs(halves[0] - halves[1]) <= 1


@needs_wrk
def test_a_window_that_holds_no_answer_is_stretched_until_it_does(server):
    server.pauses[:] = [2.0] * 20
    sample = run_closed(aim_at(server, b"one"), concurrency=1, seconds=1)
    assert sample.rate == pytest.approx(0.5, rel=0.2)


@needs_wrk
def test_callers_that_rest_send_as_much_less(server):
    sample = run_closed(aim_at(server, b"one"), concurrency=8, seconds=2, pause_s=0.2)
    assert sample.rate == pytest.approx(8 / 0.2, rel=0.25)


@needs_wrk
def test_a_closed_loop_counts_refusals_as_errors_and_not_as_rate(server):
    sample = run_closed(aim_at(server, b"bad"), concurrency=1, seconds=1)
    assert sample.rate == 0
    assert sample.errors > 0


def test_an_open_loop_keeps_its_schedule_while_answers_are_late(server):
    server.pauses[:] = [0.5]
    started = time.monotonic()
    sample = run_open(aim_at(server, b"one"), rate=40, seconds=1)
    assert time.monotonic() - started < 10
    assert len(server.bodies) == 40
    assert sample.errors == 0
    p50, _, p99 = sample.latency_ms
    assert p99 > 300  # the one that was held up
    assert p50 < 300  # those that were due meanwhile did not wait for it


def test_an_open_loop_finds_the_rate_that_was_asked_of_a_server_that_keeps_up_with_a_delay(server):
    server.pauses[:] = [0.4] * 200
    assert run_open(aim_at(server, b"one"), rate=40, seconds=4).rate == pytest.approx(40, rel=0.1)


def test_an_open_loop_finds_the_rate_of_a_server_that_falls_behind(server):
    gate, done = threading.Lock(), []

    def answer_in_turn():
        with gate:
            time.sleep(0.1)
            done.append(time.monotonic())

    server.work = answer_in_turn
    found = run_open(aim_at(server, b"one"), rate=40, seconds=2).rate
    assert found == pytest.approx((len(done) - 1) / (done[-1] - done[0]), rel=0.2)
    assert found < 12


def test_an_open_loop_counts_refusals_as_errors(server):
    assert run_open(aim_at(server, b"bad"), rate=20, seconds=0.5).errors == 10


@needs_wrk
def test_a_rate_counts_whole_batches_wherever_the_window_cuts_them(server):
    def differs():
        """By how much the rate is off that of the batches, which a busy machine lets go unevenly."""
        releases = []

        def release():
            time.sleep(0.4)
            releases.append(time.monotonic())

        server.batch = threading.Barrier(8, action=release)  # all eight callers are answered together
        sample = run_closed(aim_at(server, b"one"), concurrency=8, seconds=2)
        return abs(sample.rate / (8 * (len(releases) - 1) / (releases[-1] - releases[0])) - 1)

    assert any(differs() < 0.08 for _ in range(3))
