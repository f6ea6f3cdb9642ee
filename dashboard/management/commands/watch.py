from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dashboard import audit_triggers, clusters, watcher


class Command(BaseCommand):
    help = "Keeps the mirror of every configured Argo up to date, until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="read everything once, then end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        audit_triggers.demand()
        if once:
            for cluster in clusters.all().values():
                watcher.read_once(cluster)
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        watcher.run_watcher(stop)
