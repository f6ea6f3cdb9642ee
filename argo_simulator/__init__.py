"""A stand-in for an Argo server and its controller, in one process. Knows no Django."""

from __future__ import annotations

from argo_simulator.faults import Fault
from argo_simulator.simulator import Simulator, Write

__all__ = ["Fault", "Simulator", "Write"]
