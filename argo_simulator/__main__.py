from __future__ import annotations

import argparse
import signal
import threading

from argo_simulator.scene import Scene
from argo_simulator.simulator import Simulator


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m argo_simulator", description="An Argo server to try things on, gone when it ends."
    )
    parser.add_argument("--port", type=int, default=2746)
    parser.add_argument("--auth-mode", choices=["server", "client"], default="server")
    parser.add_argument("--scene", action="store_true", help="with workflows that come, wait and go")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if not options.scene:
        with Simulator(auth_mode=options.auth_mode, port=options.port):
            stop.wait()
        return
    with Scene(port=options.port, auth_mode=options.auth_mode) as scene:
        scene.play(stop)


if __name__ == "__main__":
    main()
