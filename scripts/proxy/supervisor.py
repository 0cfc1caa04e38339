"""The process that keeps the gateway going: nginx, the sidecar and the watchdog."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress

from lungct_tools.proxy.nginx import Nginx
from lungct_tools.proxy.record import RECORD, Record
from lungct_tools.proxy.sidecar import Readiness, Sidecar
from lungct_tools.proxy.staff import Staff
from lungct_tools.proxy.watchdog import Watchdog, restart
from lungct_tools.server.health import UNREADY, check_ready
from lungct_tools.server.instance import Instance

LOOK_S, CHECK_S = 0.5, 5.0  # how often the process is looked at, and a canary slice is scored


class Supervisor:
    """Runs until told to drain."""

    def __init__(self, nginx: Nginx, record: Record) -> None:
        """Args: `record` is of this process; a drain says not ready for its notice while it still accepts requests."""
        self._nginx, self._instance = nginx, nginx.instance
        self._record = record
        self._watchdog = Watchdog(record.patience_s, record.supervised)
        self._staff = Staff()
        self._readiness = Readiness()
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> int:
        """0 after a drain, 1 when nginx ended by itself."""
        sidecar = Sidecar(self._nginx.socket, self._instance, self._readiness, self._renew)
        sidecar.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ended.set())
        self._process = self._nginx.start()
        try:
            signal.signal(signal.SIGHUP, lambda *_: self._process.send_signal(signal.SIGHUP))
            self._record.write(self._instance.run)
            return self._watch()
        finally:
            # It leads a session of its own and would stay behind, as its workers would of one that was killed, with the
            # port. After a drain all of them are gone.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()
            (self._instance.run / RECORD).unlink(missing_ok=True)
            sidecar.shutdown()

    def _watch(self) -> int:
        checked, sick = -CHECK_S, None
        while not self._ended.wait(LOOK_S):
            if self._process.poll() is not None:
                return 1
            now, instance = time.monotonic(), Instance.read(self._instance.run)
            running = instance.running
            if not running:
                self._readiness.reason = sick = "TorchServe does not run"
            elif now - checked >= CHECK_S or self._readiness.reason is not None:
                self._readiness.reason, checked = check_ready(self._instance), now
                # Fewer workers than wanted are better than none for the time of a restart.
                sick = check_ready(self._instance, workers=1) if self._readiness.reason else None
                self._renew()
                if self._readiness.reason is None:
                    with suppress(*UNREADY):
                        self._staff.keep(instance)
            if self._watchdog.is_due(sick, running, now):
                with suppress(OSError):  # a full disk
                    print(f"gateway: restarting the server: {sick}", flush=True)
                restart(self._instance, self._record.supervised, self._ended)
        return self._drain()

    def _renew(self) -> None:
        """Give nginx TorchServe's token if it has another one now."""
        with self._lock, suppress(OSError):  # on a full disk the sidecar's second attempts go on
            if self._nginx.write_token():
                self._process.send_signal(signal.SIGHUP)

    def _drain(self) -> int:
        """Say not ready, refuse new requests, finish those in flight (worker_shutdown_timeout bounds it)."""
        self._readiness.draining = True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._record.notice_s)
            return 1
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        return 0
