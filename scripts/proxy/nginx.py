"""The gateway's nginx: its folder, its settings, its certificate, its process."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lungct_client import ServerError, Tokens
from lungct_tools import ROOT
from lungct_tools.server.deputy import Route
from lungct_tools.server.instance import Instance
from lungct_tools.server.modelconfig import read_settings
from lungct_tools.server.runfolder import SOCKET_PATH_LIMIT, write_whole
from lungct_tools.server.seal import NAME, ArchiveError

PLACES = 216  # jobQueueSize, and a batch, of config/model-config.yaml
TEMPLATE = ROOT / "config" / "nginx" / "nginx.conf"
TLS, PLAIN = TEMPLATE.with_name("tls.conf"), TEMPLATE.with_name("plain.conf")  # how callers come in
UPSTREAM, SHARE = TEMPLATE.with_name("upstream.conf"), TEMPLATE.with_name("share.conf")  # of it: what a route changes
SERVING, CANDIDATE = "serving", "candidate"  # the upstreams, and what a reply says of who answered it


class GatewayError(Exception):
    """The gateway cannot start as it is set up; the message says what to do."""


@dataclass(frozen=True)
class Nginx:
    """Everything that config/nginx/nginx.conf leaves open.

    Attributes:
        instance: the server that it asks.
        folder: private folder of settings, logs and temporary files.
        listen: address:port.
        clients: nginx map lines, `"Bearer KEY" NAME;`, see lungct key.
        certificate, certificate_key: PEM files; None for HTTP without TLS, see scripts/proxy/plain.py.
        rate: requests/s of one client, and as many at once.
        uploads: private folder for large files while they arrive.
        console: log to standard output and error instead of files.
        proxies: addresses and networks that may name the caller in X-Forwarded-For; without TLS alone.
        candidate, percent, shadow: a second server, and how many of the requests are for it, see Route.
    """

    instance: Instance
    folder: Path
    listen: str
    clients: Path
    certificate: Path | None
    certificate_key: Path | None
    rate: int
    uploads: Path
    console: bool = False
    proxies: tuple[str, ...] = ()
    candidate: Instance | None = None
    percent: float = 0.0
    shadow: bool = False

    @property
    def socket(self) -> Path:
        """Unix socket of the sidecar."""
        return self.folder / "sidecar.sock"

    @property
    def settings(self) -> Path:
        return self.folder / "nginx.conf"

    @property
    def route(self) -> Route:
        return Route(self.instance, self.candidate, self.percent, self.shadow)

    def take(self, route: Route) -> Nginx:
        """The same with another route."""
        second = {"candidate": route.candidate, "percent": route.percent, "shadow": route.shadow}
        return replace(self, instance=route.server, **second)

    @property
    def logs(self) -> list[Path]:
        """The files that grow."""
        return [] if self.console else [self.folder / "access.log", self.folder / "error.log"]

    @property
    def error_log(self) -> str:
        return "stderr" if self.console else str(self.folder / "error.log")

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"

    @property
    def listens_there(self) -> bool:
        """Whether the settings that were accepted last listen at this address already."""
        wanted = rf"listen {re.escape(self.listen)}( ssl)?;"
        return self.settings.is_file() and re.search(wanted, self.settings.read_text(errors="replace")) is not None

    def write(self) -> None:
        """Settings and token into the folder; GatewayError when nginx does not accept them: then the old stay."""
        if len(str(self.folder)) > SOCKET_PATH_LIMIT:
            raise GatewayError(f"The path of {self.folder} is too long for a socket; choose a shorter LUNG_CT_RUN.")
        root = os.getuid() == 0  # else nginx has no other user to be
        values: dict[str, object] = {
            "user": f"user {pwd.getpwuid(os.getuid()).pw_name};" if root else "",
            "folder": self.folder,
            "access_log": "/dev/stdout" if self.console else self.folder / "access.log",
            "error_log": self.error_log,
            "uploads": self.uploads,
            "proxies": " ".join(f"set_real_ip_from {each};" for each in self.proxies),
            "scheme": self.scheme.upper(),
            "listen": self.listen,
            "clients": self.clients,
            "certificate": self.certificate,
            "certificate_key": self.certificate_key,
            "rate": self.rate,
            "socket": self.socket,
        }
        values["entrance"] = fill(TLS if self.certificate else PLAIN, values).strip()
        paths = (self.folder, self.clients, self.uploads, self.certificate, self.certificate_key, self.instance.run)
        for path in filter(None, paths):
            if odd := re.findall(r"""["'\\$*?\[\],\x00-\x1f]""", str(path)):
                raise GatewayError(f"nginx cannot be told of {path} for its {odd[0]!r}; choose another path.")
        for path in filter(None, (*self.logs, self.certificate, self.certificate_key)):
            if path.is_fifo():
                raise GatewayError(f"{path} is a pipe, at which nginx would wait; move it away.")
        fresh = self.folder / "nginx.conf.wanted"
        write_whole(fresh, fill(TEMPLATE, values))
        self.write_route()
        checked = subprocess.run([*self.command(fresh), "-t", "-q"], capture_output=True, text=True, check=False)
        if checked.returncode:
            raise GatewayError(f"nginx does not accept its settings: {checked.stderr.strip()}")
        fresh.replace(self.settings)

    def write_route(self) -> None:
        """The servers that are asked, their tokens, and the place of that route, for nginx to include.

        Workers stand in that place, so that one can see whom each of them asks (scripts/proxy/turning.py). It comes
        last: settings that are read half-way must not claim the new server and ask the old one.
        """
        servers = {SERVING: self.instance} | ({CANDIDATE: self.candidate} if self.candidate else {})
        upstreams = [fill(UPSTREAM, describe_upstream(name, each)) for name, each in servers.items()]
        shares = {"share": "", "told": "", "copied": ""}
        if self.shadow:
            shares |= {"copied": f"{self.percent:g}% picked;"}
        elif self.candidate:
            shares |= {"share": f"{self.percent:g}% {CANDIDATE};", "told": "$answered"}
        self.write_token()
        upstreams.append(fill(SHARE, shares))
        write_whole(self.folder / "upstream.conf", "".join(upstreams))
        write_whole(self.folder / "mirror.conf", "mirror /copy;\n" if self.shadow else "")
        write_whole(self.folder / "place.conf", f'working_directory "{self.route.place}";\n')

    def write_token(self) -> bool:
        """TorchServe's present tokens for nginx to include; True if they are others than before."""
        target = self.folder / "token.conf"
        token = Tokens(self.instance.keys).read("inference")
        second = Tokens(self.candidate.keys).read("inference") if self.candidate else None
        kept = f'{CANDIDATE} "Bearer {second}"; ' if second else ""
        line = f'map $asked $torchserve_authorization {{ volatile; {kept}default "Bearer {token}"; }}\n'
        if not token or (target.is_file() and target.read_text(errors="replace") == line):
            if not target.is_file():
                raise GatewayError(f"No server has run from {self.instance.run} yet; start one with `make serve`.")
            return False
        write_whole(target, line, mode=0o600)
        return True

    def command(self, settings: Path) -> list[str]:
        return [find_nginx(), "-c", str(settings), "-e", self.error_log]

    def start(self) -> subprocess.Popen[bytes]:
        """nginx in a session of its own. It ends with the thread that calls this, even if that is killed: nobody else
        would find it, and its port would stay taken."""
        (self.folder / "pace.sock").unlink(missing_ok=True)  # a killed nginx leaves it, and another would not start
        command = [find_program("setpriv", "util-linux"), "--pdeathsig", "TERM", *self.command(self.settings)]
        return subprocess.Popen(command, start_new_session=True)


def count_places(instance: Instance) -> int:
    """Half of the requests that one worker and the queue of a server can hold: it stands in the settings twice.

    More workers hold more, and these keep them busy; but after a scaling down TorchServe must not have to refuse.
    """
    try:
        settings = read_settings(instance.store / NAME)
    except (ArchiveError, ServerError):  # by now it is another one; or none was recorded
        return PLACES // 2
    return int(settings["jobQueueSize"] + settings["batchSize"]) // 2


def describe_upstream(name: str, instance: Instance) -> dict[str, object]:
    """What a server has in the place of the @names@ of config/nginx/upstream.conf."""
    address = instance.url("inference").removeprefix("http://")
    return {"name": name, "torchserve": address, "places": count_places(instance)}


def fill(template: Path, values: Mapping[str, object]) -> str:
    """A template's text with `values` in the place of its @names@."""
    return re.sub(r"@([a-z_]+)@", lambda hole: str(values[hole[1]]), template.read_text())


def find_nginx() -> str:
    return find_program("nginx", "nginx")


def find_program(name: str, package: str) -> str:
    """Its path: Debian keeps nginx in a folder that users do not have on PATH."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise GatewayError(f"{name} is not installed; install your system's package {package}.")
    return path


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key, for trials; made again when a week or less is left."""
    certificate, key = folder / "certificate.pem", folder / "certificate.key"
    pair = (certificate, key)
    if lasts(*pair):
        return pair
    for path in pair:  # openssl follows a link there, and waits at a pipe
        path.unlink(missing_ok=True)
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-days", "90", "-subj", "/CN=localhost", "-addext", names, "-out", str(certificate), "-keyout", str(key)]
    try:
        subprocess.run(make, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise GatewayError("openssl could not make a certificate; give one with --certificate.") from error
    key.chmod(0o600)
    return pair


def lasts(certificate: Path, key: Path) -> bool:
    """Whether these are a certificate for a week and more, and its key."""
    if not (certificate.is_file() and key.is_file()):
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError:
        return False
    check = ["openssl", "x509", "-checkend", str(7 * 24 * 3600), "-noout", "-in", str(certificate)]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0
