"""Put the gateway before the server that runs: TLS, a key for each client, limits, readiness, restarts.

    make gateway                                # for trials: https://127.0.0.1:8443 with a self-signed certificate
    make gateway ARGS='--listen 0.0.0.0:443 --certificate chain.pem --certificate-key key.pem'
    python scripts/gateway.py --foreground      # for supervisors; SIGTERM drains it

Run again, it takes over new certificates and settings and opens its logs anew; requests in flight are finished under
the old ones. --patience and --notice alone stay what they were until `make stop`, which drains the gateway before it
stops the server. Keys for clients: `make key NAME=alice`.

Exit codes: 0 it runs, or was drained, 1 nginx ended by itself, 2 it cannot start as it is set up.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from scripts.instance import Instance, add_run_option, make_parser
from scripts.keys import add_clients_option, read_clients, write_clients
from scripts.proxy.nginx import GatewayError, Nginx, make_certificate
from scripts.proxy.record import Record, find, reload
from scripts.proxy.supervisor import Supervisor
from scripts.serve import answers

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- of every address, the one to look at


def find_door(listen: str) -> tuple[str, int]:
    """Host and port under which this machine reaches `--listen`."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal():
        raise GatewayError(f"--listen must be address:port, such as 127.0.0.1:8443 or [::1]:8443, not {listen}.")
    return ANY.get(host, host), int(port)


def check_change(running: Record | None, nginx: Nginx, door: tuple[str, int], args: argparse.Namespace) -> None:
    """GatewayError for what a gateway that runs cannot change, and for an address that another program has."""
    if running and (running.patience_s, running.notice_s) != (args.patience, args.notice):
        settled = f"--patience {running.patience_s:g} --notice {running.notice_s:g}"
        raise GatewayError(f"The gateway that runs has {settled}; give the same, or `make stop` first.")
    if answers(*door) and not (running and nginx.listens_there):
        raise GatewayError(f"{args.listen} is in use; choose another --listen, or stop what listens there.")


def start(run: Path, door: tuple[str, int]) -> None:
    """Run this command again in the background until it listens; GatewayError when it does not, and it is ended."""
    log = run / "gateway" / "supervisor.log"
    command = [sys.executable, *sys.argv, "--foreground"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    ends = time.monotonic() + 30
    while not (find(run) and answers(*door)):
        if process.poll() is not None or time.monotonic() > ends:
            process.terminate()
            process.wait()
            raise GatewayError(log.read_text().strip() or f"It does not listen; see {log}.")
        time.sleep(0.05)


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    add_clients_option(parser)
    parser.add_argument("--listen", default="127.0.0.1:8443", help="address:port (default %(default)s)")
    parser.add_argument("--certificate", type=Path, help="PEM file, chain included (default: self-signed, for trials)")
    parser.add_argument("--certificate-key", type=Path, help="PEM file of its private key")
    parser.add_argument("--rate", type=int, default=100, help="requests/s of one client (default %(default)s)")
    parser.add_argument(
        "--patience", type=float, default=60, help="seconds not ready before a restart (60); inf: never"
    )
    parser.add_argument("--notice", type=float, default=0, help="seconds of 'not ready' before a drain (default 0)")
    parser.add_argument("--foreground", action="store_true", help="stay; SIGTERM drains")
    args = parser.parse_args()
    if (args.certificate is None) != (args.certificate_key is None):
        parser.error("--certificate and --certificate-key go together")
    run = args.run.resolve()
    folder = run / "gateway"
    try:
        door = find_door(args.listen)
        instance = Instance.read(run)
        if not instance.running:
            raise GatewayError("No server runs; start it with `make serve`.")
        folder.mkdir(mode=0o700, exist_ok=True)
        if not args.clients.is_file():  # a mounted secret is there and cannot be written
            write_clients(args.clients, {})
        pair = (args.certificate, args.certificate_key) if args.certificate else make_certificate(folder)
        certificate, key = (path.resolve() for path in pair)
        nginx = Nginx(instance, folder, args.listen, args.clients.resolve(), certificate, key, args.rate)
        check_change(None if args.foreground else find(run), nginx, door, args)
        nginx.write()
        if args.foreground:
            return Supervisor(nginx, args.patience, args.notice).run()
        if not reload(run):
            start(run, door)
    except GatewayError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 2
    trust = f"; clients trust {certificate}" if args.certificate is None else ""
    print(f"gateway: https://{args.listen}{trust}; {len(read_clients(args.clients))} clients have a key")
    return 0


if __name__ == "__main__":
    sys.exit(main())
