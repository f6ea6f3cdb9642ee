"""Every variable that Waitdesk reads from its environment, with its meaning: the one home of that table."""

from __future__ import annotations

import difflib
import os
import secrets
import sys
import tomllib
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environ import Env

from argo_client import TokenSource
from dashboard.clusters import Cluster


@dataclass(frozen=True)
class Variable:
    """`default` is what is used when the variable is not set, as it would be written."""

    name: str
    default: str
    meaning: str


VARIABLES = (
    Variable("ARGO_SERVER", "", "The Argo server, `host:port` or a URL. Not set: `make run` simulates one."),
    Variable("ARGO_TOKEN", "", "Its token, with or without `Bearer `."),
    Variable("ARGO_TOKEN_FILE", "", "A file with the token, read again when it changes."),
    Variable("ARGO_NAMESPACE", "", "The namespaces to watch, with commas. Empty: all."),
    Variable("ARGO_SECURE", "true", "Whether `host:port` is reached by https."),
    Variable("ARGO_INSECURE_SKIP_VERIFY", "false", "Do not check the server's certificate."),
    Variable("ARGO_CA_FILE", "", "A file with the certificate authorities to trust for it."),
    Variable("ARGO_BASE_HREF", "", "The path under which Argo is served."),
    Variable("ARGO_CLUSTERS_FILE", "", "A TOML file with several Argo servers, instead of the above."),
    Variable("DATABASE_URL", "", "`postgres://…` or `sqlite:///…`. Empty: SQLite in the data folder."),
    Variable("SECRET_KEY", "", "Signs sessions. Must be set in production; else made once and kept."),
    Variable("ALLOWED_HOSTS", "", "The host names that Waitdesk answers to, with commas. Empty: loopback."),
    Variable("HOST", "127.0.0.1", "The address that `make run` listens on."),
    Variable("PORT", "8000", "The port that `make run` listens on."),
    Variable("TIME_ZONE", "UTC", "The time zone of the pages, such as `Europe/Berlin`."),
    Variable("WAITDESK_DATA", "data", "The folder for the SQLite database and the generated key."),
    Variable("WAITDESK_PRODUCTION", "false", "Secure cookies, HSTS, https only, and no SECRET_KEY made up."),
    Variable("WAITDESK_CSRF_TRUSTED_ORIGINS", "", "Origins such as `https://waitdesk.example`, with commas."),
    Variable("WAITDESK_BEHIND_TLS_PROXY", "false", "Believe a proxy's `X-Forwarded-Proto`."),
    Variable(
        "WAITDESK_ADMIN_PASSWORD", "", "The password of the first `admin`. Empty: made and printed once."
    ),
    Variable("WAITDESK_UUID_PARAMETER", "uuid", "The input parameter of a wait that carries the job's UUID."),
    Variable("WAITDESK_HEAL_SECONDS", "300", "How often the mirror is compared with Argo as a whole."),
    Variable("WAITDESK_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR."),
)
_CLUSTER_KEYS = {
    "name", "server", "token", "token_file", "namespaces", "ca_file", "insecure_skip_verify", "base_href",
}  # fmt: skip


class BadSetting(Exception):
    """A setting that Waitdesk cannot start with; the text names the variable, never its value's secret."""


class Environment:
    """Reads variables by their declared defaults. Raises BadSetting."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._defaults = {variable.name: variable.default for variable in VARIABLES}

    def text(self, name: str) -> str:
        return self._variables.get(name, self._defaults[name]).strip()

    def flag(self, name: str) -> bool:
        value = self.text(name).lower()
        if value in ("", "0", "false", "no", "off"):
            return False
        if value in ("1", "true", "yes", "on"):
            return True
        raise BadSetting(f"{name} is either true or false, not {value!r}.")

    def number(self, name: str, *, least: int, most: int) -> int:
        value = self.text(name)
        if not value.isdecimal() or not least <= int(value) <= most:
            raise BadSetting(f"{name} is a whole number from {least} to {most}, not {value!r}.")
        return int(value)

    def time_zone(self, name: str) -> str:
        value = self.text(name)
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise BadSetting(f"{name} is no time zone that we know: {value!r}.") from None
        return value

    def items(self, name: str) -> list[str]:
        return [item.strip() for item in self.text(name).split(",") if item.strip()]

    def strangers(self) -> Iterator[str]:
        """A sentence for each WAITDESK_ variable that we do not know."""
        for name in sorted(self._variables):
            if name.startswith("WAITDESK_") and name not in self._defaults:
                near = difflib.get_close_matches(name, self._defaults, n=1)
                yield f"{name} is no setting of Waitdesk." + (f" Is {near[0]} meant?" if near else "")


def clusters(env: Environment) -> tuple[Cluster, ...]:
    """The configured Argo servers; none when nothing is set. Raises BadSetting."""
    if file := env.text("ARGO_CLUSTERS_FILE"):
        if env.text("ARGO_SERVER"):
            raise BadSetting("ARGO_SERVER and ARGO_CLUSTERS_FILE exclude each other; set one of them.")
        return _clusters_from_file(Path(file))
    if not env.text("ARGO_SERVER"):
        return ()
    return (
        Cluster(
            name="default",
            server_url=server_url(env.text("ARGO_SERVER"), secure=env.flag("ARGO_SECURE")),
            token=_token(env.text("ARGO_TOKEN"), env.text("ARGO_TOKEN_FILE"), "ARGO_TOKEN"),
            namespaces=tuple(env.items("ARGO_NAMESPACE")),
            ca_file=_existing(env.text("ARGO_CA_FILE"), "ARGO_CA_FILE"),
            verify=not env.flag("ARGO_INSECURE_SKIP_VERIFY"),
            base_href=env.text("ARGO_BASE_HREF"),
        ),
    )


def server_url(server: str, *, secure: bool) -> str:
    """`host:port` as the argo CLI takes it, or a URL, as a URL without path. Raises BadSetting."""
    url = server if "://" in server else f"{'https' if secure else 'http'}://{server}"
    scheme, _, rest = url.partition("://")
    rest = rest.rstrip("/")
    if scheme not in ("http", "https") or not rest or set(rest) & set("/?#@ "):
        raise BadSetting(
            "ARGO_SERVER (or a cluster's server) is host:port or http(s)://host:port, without login or path;"
            " a path goes into ARGO_BASE_HREF."
        )
    return f"{scheme}://{rest}"


def secret_key(env: Environment, *, data: Path, production: bool) -> str:
    """The SECRET_KEY, outside production made once and kept readable by its owner alone."""
    if key := env.text("SECRET_KEY"):
        return key
    if production:
        raise BadSetting("SECRET_KEY must be set in production; a long random text.")
    file = data / "secret_key"
    if not file.exists():
        data.mkdir(parents=True, exist_ok=True)
        # Another process may make it at the same moment; whoever comes first decides.
        new = data / f"secret_key.{secrets.token_hex(8)}"
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(50))
        try:
            os.link(new, file)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return file.read_text().strip()


def database(env: Environment, *, data: Path) -> dict[str, Any]:
    """Django's settings of the default database. Raises BadSetting."""
    url = env.text("DATABASE_URL") or f"sqlite:///{(data / 'waitdesk.sqlite3').absolute()}"
    if not url.startswith(("sqlite://", "postgres://", "postgresql://")):
        raise BadSetting("DATABASE_URL begins with sqlite:///, postgres:// or postgresql://.")
    try:
        config: dict[str, Any] = dict(Env.db_url_config(url))
    except Exception:
        raise BadSetting("DATABASE_URL cannot be read as a database URL.") from None
    if url.startswith("sqlite"):
        return config | {
            "ENGINE": "dashboard.sqlite_lock",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 10,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            },
        }
    return config | {"CONN_HEALTH_CHECKS": True, "OPTIONS": {"pool": True, **config.get("OPTIONS", {})}}


def refuse_to_start(problem: BadSetting) -> None:
    """One sentence and a non-zero exit, no traceback."""
    sys.stderr.write(f"Waitdesk cannot start: {problem}\n")
    raise SystemExit(2)


def _token(text: str, file: str, name: str) -> TokenSource | None:
    if text and file:
        raise BadSetting(f"{name} and {name}_FILE exclude each other; set one of them.")
    try:
        if file:
            return TokenSource.from_file(file)
        return TokenSource.from_text(text) if text else None
    except ValueError:
        raise BadSetting(f"{name} holds characters that a token cannot have.") from None


def _existing(file: str, name: str) -> str | None:
    if file and not Path(file).is_file():
        raise BadSetting(f"{name}: there is no file {file!r}.")
    return file or None


def _clusters_from_file(file: Path) -> tuple[Cluster, ...]:
    try:
        found = tomllib.loads(file.read_text())
    except OSError as error:
        raise BadSetting(f"ARGO_CLUSTERS_FILE cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise BadSetting(f"ARGO_CLUSTERS_FILE is not TOML: {error}.") from None
    tables = found.pop("clusters", None)
    if found or not isinstance(tables, list) or not tables:
        raise BadSetting("ARGO_CLUSTERS_FILE holds [[clusters]] tables, at least one, and nothing else.")
    read = tuple(_cluster(table) for table in tables)
    names = [cluster.name for cluster in read]
    if len(set(names)) != len(names):
        raise BadSetting("ARGO_CLUSTERS_FILE: two clusters have the same name.")
    return read


def _cluster(table: dict[str, Any]) -> Cluster:
    if unknown := sorted(set(table) - _CLUSTER_KEYS):
        known = ", ".join(sorted(_CLUSTER_KEYS))
        raise BadSetting(f"ARGO_CLUSTERS_FILE: a cluster has no {', '.join(unknown)}; it may have {known}.")
    name, server = table.get("name"), table.get("server")
    if not isinstance(name, str) or not name or not isinstance(server, str):
        raise BadSetting("ARGO_CLUSTERS_FILE: every cluster needs a name and a server.")
    namespaces = table.get("namespaces", [])
    if not isinstance(namespaces, list) or not all(isinstance(n, str) and n for n in namespaces):
        raise BadSetting(f"ARGO_CLUSTERS_FILE: the namespaces of {name!r} are a list of names.")
    if not isinstance(table.get("insecure_skip_verify", False), bool):
        raise BadSetting(f"ARGO_CLUSTERS_FILE: insecure_skip_verify of {name!r} is true or false.")
    where = f"ARGO_CLUSTERS_FILE, cluster {name!r}, token"
    return Cluster(
        name=name,
        server_url=server_url(server, secure=True),
        token=_token(str(table.get("token", "")), str(table.get("token_file", "")), where),
        namespaces=tuple(namespaces),
        ca_file=_existing(str(table.get("ca_file", "")), "ARGO_CLUSTERS_FILE, ca_file"),
        verify=not table.get("insecure_skip_verify", False),
        base_href=str(table.get("base_href", "")),
    )
