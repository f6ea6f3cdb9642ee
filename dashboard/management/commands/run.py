from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from dashboard import audit_triggers, first_users
from dashboard.environment import VARIABLES, Environment
from dashboard.supervisor import Child, Supervisor


class Command(BaseCommand):
    help = "Runs everything on this machine: web and watcher, and a simulated Argo when none is set."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        env = Environment(os.environ)
        host, port = env.text("HOST"), env.number("PORT", least=1, most=65535)
        demo = not settings.WAITDESK_CLUSTERS
        if demo and not _is_loopback(host):
            raise CommandError(
                "Without ARGO_SERVER the demo runs, whose passwords everybody knows, so it does not listen"
                f" on {host}. Set ARGO_SERVER, or leave HOST at 127.0.0.1."
            )
        _must_be_free(host, port)
        call_command("migrate", verbosity=0)
        audit_triggers.demand()
        if settings.PRODUCTION:
            call_command("collectstatic", interactive=False, verbosity=0)
        login = _prepare_demo() if demo else self._prepare(env)
        children = _children(host, port, demo=demo)
        threading.Thread(target=_announce, args=(host, port, login), daemon=True).start()
        sys.exit(Supervisor(children).run())

    def _prepare(self, env: Environment) -> str:
        """Users for a real Argo; what to say about the login."""
        if locked := first_users.lock_demo_users():
            self.stderr.write(f"The demo's passwords of {', '.join(locked)} do not work on a real Argo.")
        made_up = first_users.create_first_admin(env.text("WAITDESK_ADMIN_PASSWORD"))
        if made_up is None:
            return "Log in as admin, or as whom you created."
        return f"Log in as admin with the password {made_up} (it is not shown again)."


def _prepare_demo() -> str:
    first_users.create_demo_users()
    return "Log in as viewer, operator or admin; each password is the name. Argo is simulated."


def _children(host: str, port: int, *, demo: bool) -> list[Child]:
    environment: dict[str, str] = {}
    children = []
    if demo:
        argo_port = _free_port()
        # Whatever else is set of an Argo is not meant for this one.
        environment = {variable.name: "" for variable in VARIABLES if variable.name.startswith("ARGO_")}
        environment["ARGO_SERVER"] = f"http://127.0.0.1:{argo_port}"
        command = [sys.executable, "-m", "argo_simulator", "--scene", "--port", str(argo_port)]
        children.append(Child("simulator", command, {}))
    gunicorn = [sys.executable, "-m", "gunicorn", "dashboard.wsgi", "--bind", f"{host}:{port}",
                "--worker-class", "gthread", "--workers", "1", "--threads", "8", "--log-level", "warning",
                "--limit-request-line", "8190", "--graceful-timeout", "5"]  # fmt: skip
    children.append(Child("web", gunicorn, environment))
    children.append(Child("watcher", [sys.executable, "manage.py", "watch"], environment))
    return children


def _announce(host: str, port: int, login: str) -> None:
    """Says where to go once the page answers."""
    address = f"http://{host}:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/login/", timeout=2).close()  # noqa: S310
            break
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(0.1)
    sys.stdout.write(f"\nWaitdesk: {address}\n{login}\nCtrl-C stops everything.\n\n")
    sys.stdout.flush()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _must_be_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} of {host} cannot be used ({error.strerror}). Is Waitdesk already running?"
                " PORT=8001 make run takes another."
            ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
