"""Put the gateway before the server that runs: TLS, a key for each client, limits, readiness, restarts.

    make gateway                                # for trials: https://127.0.0.1:8443 with a self-signed certificate
    make gateway ARGS='--listen 0.0.0.0:443 --certificate chain.pem --certificate-key key.pem'
    lungct gateway --foreground      # for supervisors; SIGTERM drains it
    lungct gateway --plain --listen 10.1.2.3:8080   # HTTP behind a mesh that encrypts (docs/kserve.md)

Run again, it takes over new certificates and settings and opens its logs anew; requests in flight are finished under
the old ones. --patience, --notice, --supervised and --plain alone stay what they were until `make stop`, which drains
the gateway before it stops the server. Keys for clients: `make key NAME=alice`.

In the background two processes watch each other: one that is killed is there again within seconds, and so is nginx. In
the foreground who started the gateway starts it again.

Exit codes: 0 it runs, or was drained, 1 nginx could not start, 2 it cannot start as it is set up.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from lungct_client import ServerError
from lungct_tools.commandline import add_run_option, compose, make_parser
from lungct_tools.proxy.guard import keep_guard, start_supervisor, write_order
from lungct_tools.proxy.keeper import end_left
from lungct_tools.proxy.keys import add_clients_option, read_clients, write_clients
from lungct_tools.proxy.nginx import GatewayError, Nginx, make_certificate
from lungct_tools.proxy.plain import WARNING, check_address, read_proxies
from lungct_tools.proxy.record import Record, find, reload
from lungct_tools.proxy.supervisor import ANEW, Supervisor
from lungct_tools.server import scribe
from lungct_tools.server.deputy import find_route
from lungct_tools.server.instance import Instance
from lungct_tools.server.polling import poll
from lungct_tools.server.processes import read_birth
from lungct_tools.server.runfolder import RunFolderError, check_ours, claim, close_empty, resolve
from lungct_tools.server.serve import answers

START_S = 30  # that the supervisor has until it listens
LEAVE_S = 5  # that workers of a killed nginx have to leave the address
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- of every address, the one to look at


def read_address(listen: str) -> tuple[str, int]:
    """Host and port of `--listen`."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 2**16:
        raise GatewayError(f"--listen must be address:port, such as 127.0.0.1:8443 or [::1]:8443, not {listen}.")
    return host, int(port)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def warn(host: str, plain: bool) -> None:
    """Say what is in the open; root's program, too, whose workers read what is for its owner only."""
    if plain:
        with suppress(OSError):  # nobody reads it: one that was killed is started again all the same
            print(f"gateway: {WARNING}.", file=sys.stderr, flush=True)
    if os.getuid() == 0 and not is_loopback(host):
        sentence = "root's nginx, workers included, can be reached from other machines; run the gateway as another user"
        sysctl = "sysctl net.ipv4.ip_unprivileged_port_start=443 opens ports from 443 on to all users"
        with suppress(OSError):
            print(f"gateway: {sentence} ({sysctl}).", file=sys.stderr, flush=True)


def check_change(running: Record | None, nginx: Nginx, door: tuple[str, int], wanted: Record) -> None:
    """GatewayError for what a gateway that runs cannot change, and for an address that another program has."""
    if running and running.options != wanted.options:
        raise GatewayError(f"The gateway that runs has {running.options}; give the same, or `make stop` first.")
    if answers(*door) and not (running and nginx.listens_there):
        raise GatewayError(f"{nginx.listen} is in use; choose another --listen, or stop what listens there.")


def start(run: Path, door: tuple[str, int]) -> None:
    """Run this command again in the background until it listens; GatewayError when it does not, and it is ended."""
    log = run / "gateway" / "supervisor.log"
    scribe.begin(log)
    writer = scribe.start(log)
    with writer.stdin as output:
        process = start_supervisor(run, output)
    for _ in poll(START_S, 0.05):
        if find(run) and answers(*door):
            return
        if process.poll() is not None:
            break
    process.terminate()
    process.wait()
    with suppress(subprocess.TimeoutExpired):
        writer.wait(10)  # it writes to the end
    raise GatewayError(log.read_text(errors="replace").strip() or f"It does not listen; see {log}.")


def choose_pair(args: argparse.Namespace, folder: Path) -> tuple[Path, Path] | tuple[None, None]:
    """Certificate and its key: none, those that were given, or made ones. Raises GatewayError without openssl."""
    if args.plain:
        return None, None
    certificate, key = (args.certificate, args.certificate_key) if args.certificate else make_certificate(folder)
    return certificate.resolve(), key.resolve()


def claim_uploads(folder: Path) -> Path:
    """The folder that patients' slices pass through, each for its owner only; GatewayError when it is not ours."""
    try:
        found = resolve(folder)
        close_empty(found)
        check_ours(found)
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_ours(found)
    except RunFolderError as error:
        raise GatewayError(
            f"--uploads: {error} Name a folder of your own within a mount, not the mount itself."
        ) from None
    return found


def set_up(args: argparse.Namespace, run: Path) -> tuple[Nginx, Record, tuple[str, int]]:
    """Write nginx's settings as the options say: nginx, the record of this process, and where to knock.

    Raises:
        GatewayError: they cannot work.
        ServerError: the run folder, or a record in it, cannot be used.
        OSError: a file cannot be read or written.
    """
    host, port = read_address(args.listen)
    if args.plain:
        check_address(host)
    listen, door = f"[{host}]:{port}" if ":" in host else f"{host}:{port}", (ANY.get(host, host), port)
    proxies = read_proxies(args.trusted_proxy)
    folder = run / "gateway"
    check_ours(run)
    instance = Instance.read(run)
    if not instance.running and not args.guarded:  # a guarded one may have to start the server, too
        raise GatewayError("No server runs; start it with `make serve`.")
    claim(folder)
    if not args.clients.is_file():  # a mounted secret is there and cannot be written
        write_clients(args.clients, {})
    pair = choose_pair(args, folder)
    clients, uploads = args.clients.resolve(), claim_uploads(args.uploads or folder / "uploads")
    nginx = Nginx(instance, folder, listen, clients, *pair, args.rate, uploads, args.console, proxies)
    record = Record(os.getpid(), read_birth(os.getpid()), args.patience, args.notice, args.supervised, args.plain)
    if find(run) is None and end_left(run):
        for _ in poll(LEAVE_S, 0.05):
            if not answers(*door):
                break
    check_change(None if args.foreground else find(run), nginx, door, record)
    nginx.take(find_route(instance)).write()
    warn(host, args.plain)
    return nginx, record, door


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    add_clients_option(parser)
    parser.add_argument("--listen", default="127.0.0.1:8443", help="address:port (default %(default)s)")
    parser.add_argument("--certificate", type=Path, help="PEM file, chain included (default: self-signed, for trials)")
    parser.add_argument("--certificate-key", type=Path, help="PEM file of its private key")
    parser.add_argument("--plain", action="store_true", help="HTTP, at one address, behind a mesh that encrypts")
    parser.add_argument(
        "--trusted-proxy", action="append", default=[], metavar="ADDRESS",
        help="with --plain: whose X-Forwarded-For names the caller; may be a network, and given again",
    )  # fmt: skip
    parser.add_argument("--rate", type=int, default=100, help="requests/s of one client (default %(default)s)")
    parser.add_argument(
        "--patience", type=float, default=60, help="seconds not ready before a restart (60); inf: never"
    )
    parser.add_argument(
        "--supervised", action="store_true", help="others start a server that has ended: a restart only ends it"
    )
    parser.add_argument("--notice", type=float, default=0, help="seconds of 'not ready' before a drain (default 0)")
    parser.add_argument("--foreground", action="store_true", help="stay; SIGTERM drains")
    parser.add_argument("--guarded", action="store_true", help=argparse.SUPPRESS)  # for our own starts: see guard.py
    parser.add_argument("--guard", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--console", action="store_true", help="log to standard output and error, for containers")
    parser.add_argument(
        "--uploads", type=Path, help="folder of your own for large uploads (default: in the run folder)"
    )
    args = parser.parse_args()
    if (args.certificate is None) != (args.certificate_key is None):
        parser.error("--certificate and --certificate-key go together")
    if args.plain and args.certificate:
        parser.error("--plain has no certificate; leave out one of the two")
    if args.trusted_proxy and not args.plain:
        parser.error("--trusted-proxy goes with --plain")
    if args.guard:
        return keep_guard(args.run)
    run = args.run
    try:
        run = resolve(run)
        nginx, record, door = set_up(args, run)
        if args.foreground:
            if args.guarded:
                write_order(run, sys.argv[1:-2])  # as start_supervisor says it; the folder may be another
            code = Supervisor(nginx, record, args.guarded).run()
            if code == ANEW:
                os.execv(sys.executable, compose("gateway", *sys.argv[1:]))  # noqa: S606 -- as it was asked for
            return code
        known = read_clients(args.clients)
        write_order(run, sys.argv[1:])
        if not reload(run):
            start(run, door)
    except (GatewayError, ServerError, ValueError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, above all
        print(f"gateway: {error.filename or run}: {error.strerror}.", file=sys.stderr)
        return 2
    trust = "" if args.certificate or args.plain else f"; clients trust {nginx.certificate}"
    print(f"gateway: {nginx.scheme}://{nginx.listen}{trust}; {len(known)} clients have a key")
    return 0
