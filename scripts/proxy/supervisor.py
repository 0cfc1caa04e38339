"""The process that keeps the gateway going: nginx, the sidecar, the watchdog, and a guard of itself."""

from __future__ import annotations

import signal
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace

from lungct_client import ServerError
from lungct_client.address import RECORD as INSTANCE
from lungct_tools.proxy.guard import Watch
from lungct_tools.proxy.keeper import Keeper
from lungct_tools.proxy.nginx import GatewayError, Nginx
from lungct_tools.proxy.record import RECORD, Record, find
from lungct_tools.proxy.sidecar import Readiness, Sidecar
from lungct_tools.proxy.staff import Staff
from lungct_tools.proxy.turning import relieve
from lungct_tools.proxy.watchdog import Watchdog, restart
from lungct_tools.server.deputy import Route, find_route
from lungct_tools.server.health import UNREADY, check_ready
from lungct_tools.server.instance import Instance
from lungct_tools.server.runfolder import claim

ANEW = 3  # its folder was removed: nothing that it could write there would be enough
LOOK_S, CHECK_S = 0.5, 5.0  # how often the processes are looked at, and a canary slice is scored


class Supervisor:
    """Runs until told to drain. Its first thread has nginx, which would end with another; a second one the server."""

    def __init__(self, nginx: Nginx, record: Record, guarded: bool) -> None:
        """Args: `record` is of this process; a drain says not ready for its notice while it still accepts requests.
        `guarded`: nobody else starts this process again that has been killed, see scripts/proxy/guard.py.
        """
        self._nginx, self._known = nginx, nginx.instance
        self._route = find_route(self._known)  # to the server, or to its deputy
        self._record = record
        self._watchdog = Watchdog(record.patience_s, record.supervised)
        self._staff = Staff()
        self._readiness = Readiness()
        self._guard = Watch(nginx.instance.run) if guarded else None
        self._ended = threading.Event()
        self._code = 0  # but 0: it ends without a drain
        self._renewing, self._restarting = threading.Lock(), threading.Lock()
        self._told = ""

    def run(self) -> int:
        """0 after a drain, 1 when nginx could not start or after a fault of our own, ANEW where another is to start."""
        run = self._nginx.instance.run
        self._sidecar = Sidecar(self._nginx.socket, self._route, self._readiness, self._renew)
        self._sidecar.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ended.set())
        self._keeper = Keeper(self._nginx)
        try:
            signal.signal(signal.SIGHUP, lambda *_: self._keeper.send(signal.SIGHUP))
            self._record.write(run)
            threading.Thread(target=self._watch_server, daemon=True).start()
            code = self._keep()
            with self._restarting:  # it leaves off by itself
                if not self._code:
                    (run / RECORD).unlink(missing_ok=True)  # else the guard starts another supervisor
            return code
        finally:
            self._keeper.end()
            self._sidecar.shutdown()

    def _keep(self) -> int:
        """Keep nginx and the guard there until the end; the exit code."""
        while not self._ended.wait(LOOK_S):
            with suppress(OSError):  # no room for another process, or a full disk
                now = time.monotonic()
                if not self._keeper.tend(now):
                    return 1
                if self._guard and self._keeper.settled(now):
                    self._guard.tend()
                if find(self._nginx.instance.run) is None:  # damaged: without it nobody could drain this gateway
                    self._record.write(self._nginx.instance.run)
        return self._code or self._drain()

    def _watch_server(self) -> None:
        """Check the server until the end. A fault of our own ends the supervisor, so that another one starts."""
        try:
            checked = looked = -CHECK_S
            reason = acting = self._readiness.reason  # why the server, and its deputy, are not ready
            sick: str | None = None
            while not self._ended.wait(LOOK_S):
                now, instance = time.monotonic(), self._read_instance()
                if instance.keys.is_file() and not self._nginx.folder.is_dir():
                    self._code = ANEW
                    self._ended.set()
                    return
                running, turned = instance.running, self._turn(find_route(instance))
                if not running:
                    reason = sick = "TorchServe does not run"
                elif turned or now - checked >= CHECK_S or reason is not None:
                    (reason, sick), checked = self._check(instance), now
                deputised = self._route.server.run != instance.run
                if deputised and (turned or now - looked >= CHECK_S):
                    acting, looked = check_ready(self._route.server), now
                self._readiness.reason = acting if deputised else reason
                if checked == now:
                    self._tend(instance, ready=reason is None)
                relieve(instance, ready=reason is None)
                if self._watchdog.is_due(sick, running, now):
                    self._tell(f"restarting the server: {sick}")
                    with self._restarting:
                        restart(instance, self._record.supervised, self._ended)
        except Exception:  # noqa: BLE001 -- told, and the end of the process
            self._code = 1
            self._ended.set()
            traceback.print_exc()

    def _check(self, instance: Instance) -> tuple[str | None, str | None]:
        """Why the server is not ready, and why it is sick; None where it is not."""
        reason = check_ready(instance)
        # Fewer workers than wanted are better than none for the time of a restart.
        return reason, check_ready(instance, workers=1) if reason else None

    def _tend(self, instance: Instance, ready: bool) -> None:
        """Take its token over, and see to its workers. One that hangs lets this wait: so, last."""
        self._renew()
        with suppress(*UNREADY):
            self._staff.limit(instance)
            if ready:
                self._staff.keep(instance)

    def _turn(self, route: Route) -> bool:
        """Have nginx and the sidecar take this route; whether they had another one before."""
        if route.leads_as(self._route):
            return False
        with self._renewing, suppress(OSError):  # a full disk: at the next look
            self._nginx.take(route).write_route()
            self._route = route
            self._sidecar.turn_to(route)
            self._keeper.send(signal.SIGHUP)
            return True
        return False

    def _read_instance(self) -> Instance:
        """The server as it is recorded now. Where the record is damaged it may serve on: it counts as it was known.

        And where it is gone while the server runs, which a stop leaves no sooner than it has ended: then it is written
        again. Without it nobody could stop that server, and another one would find its ports taken.
        """
        try:
            found = Instance.read(self._known.run)
            if found.options:
                self._known = found
            elif self._known.running:
                with suppress(OSError):  # a full disk: at the next look
                    claim(self._known.run)  # which may be gone whole; without keys and canary the watchdog is due
                    self._known.write()
                    self._tell(f"{self._known.run / INSTANCE} was gone while the server runs; it is there again.")
            else:
                self._known = replace(self._known, pid=0, birth="")
        except ServerError as error:
            self._tell(f"{error} Until then it counts as it was read before.")
        return self._known

    def _tell(self, sentence: str) -> None:
        """Say something once, until something else is said."""
        if sentence != self._told:
            self._told = sentence
            with suppress(OSError):  # a full disk
                print(f"gateway: {sentence}", flush=True)

    def _renew(self) -> None:
        """Give nginx the token of the TorchServe that it asks, if that has another one now."""
        with self._renewing, suppress(OSError, GatewayError):  # a full disk, or a key that is gone
            if self._nginx.take(self._route).write_token():
                self._keeper.send(signal.SIGHUP)

    def _drain(self) -> int:
        """Say not ready, refuse new requests, finish those in flight (worker_shutdown_timeout bounds it)."""
        self._readiness.draining = True
        pause = self._record.notice_s
        while not self._keeper.wait(pause):
            self._keeper.send(signal.SIGQUIT)  # again: nginx loses one that comes before it looks for any
            pause = 1.0
        return 0
