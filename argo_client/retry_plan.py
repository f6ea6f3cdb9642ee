"""What a retry would do to the nodes of a workflow, computed from the nodes alone.

The rules are those of Argo 4.1.2 as recorded (contract README, "Retry", T06 and T19). They are numbered as
there, and the plan is held to every recorded retry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from argo_client.selectors import NodeSelector
from argo_client.types import Node, NodePhase, Workflow

_EXECUTED = ("Pod", "Container", "HTTP", "Plugin")
_BOUNDARIES = ("DAG", "Steps", "StepGroup", "TaskGroup")
_GROUPS = ("StepGroup", "TaskGroup")
_FAILED = (NodePhase.FAILED, NodePhase.ERROR)
#: The node types of the recorded workflows; of others nobody knows what a retry does to them.
COVERED_TYPES = frozenset({"Pod", "Suspend", "Steps", "StepGroup", "DAG", "TaskGroup", "Retry", "Skipped"})


class Fate(StrEnum):
    DELETED = "deleted"
    RESET = "reset"
    KEPT = "kept"


class Reason(StrEnum):
    MATCHES = "the selector matches it"
    FAILED_BEFORE = "it failed, and every retry runs failed pods again"
    BELOW = "it comes after a node that runs again"
    SIBLING = "parameters are overridden, so its whole group runs again"
    EXIT_HANDLER = "the exit handler runs again after every retry"
    AROUND = "something inside it runs again"
    UNTOUCHED = "nothing about it changes"


@dataclass(frozen=True, kw_only=True)
class NodeFate:
    fate: Fate
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class RetryPlan:
    """Node id -> what becomes of it. `matched`: the nodes that the selector hits."""

    fates: Mapping[str, NodeFate]
    matched: frozenset[str]
    #: types of nodes in this workflow for which the rules are not recorded
    uncovered_types: frozenset[str]

    def of(self, fate: Fate) -> frozenset[str]:
        return frozenset(node_id for node_id, found in self.fates.items() if found.fate is fate)


def plan_retry(
    workflow: Workflow,
    *,
    restart_successful: bool = False,
    selector: NodeSelector | None = None,
    overrides_parameters: bool = False,
) -> RetryPlan:
    """What Argo would delete, reset and keep. Without `restart_successful` Argo ignores the selector."""
    tree = _Tree(workflow.nodes)
    matched = frozenset(
        node.id
        for node in workflow.nodes.values()
        if selector and restart_successful and selector.matches(node)
    )
    deleted: dict[str, Reason] = {}
    reset: set[str] = set()
    for node in tree.breadth_first(workflow.name):
        reason = _mark(node, tree, matched)
        if reason is None or node.id in deleted:
            continue
        deleted[node.id] = reason
        for below in tree.below(node.id):
            deleted.setdefault(below, Reason.BELOW)
        reset |= set(tree.upwards(node))
    if overrides_parameters:
        for group in [n for n in reset if workflow.nodes[n].type in _GROUPS]:
            for below in tree.below(group):
                deleted.setdefault(below, Reason.SIBLING)
    for node_id in tree.exit_handler(workflow.name):
        deleted.setdefault(node_id, Reason.EXIT_HANDLER)
    return RetryPlan(
        fates={node_id: _fate(node_id, deleted, reset) for node_id in workflow.nodes},
        matched=matched,
        uncovered_types=frozenset(n.type for n in workflow.nodes.values()) - COVERED_TYPES,
    )


def _mark(node: Node, tree: _Tree, matched: frozenset[str]) -> Reason | None:
    """Rule 1: what is to run again by itself."""
    if node.id in matched:
        return Reason.MATCHES
    if node.type not in _EXECUTED or node.phase not in _FAILED:
        return None
    parent = tree.parent(node.id)
    start = parent.id if parent is not None and parent.type == "Retry" else node.id
    went_on = any(
        tree.nodes[below].phase is NodePhase.SUCCEEDED and below not in matched for below in tree.below(start)
    )
    return None if went_on else Reason.FAILED_BEFORE


def _fate(node_id: str, deleted: Mapping[str, Reason], reset: set[str]) -> NodeFate:
    if node_id in deleted:
        return NodeFate(fate=Fate.DELETED, reason=deleted[node_id])
    if node_id in reset:
        return NodeFate(fate=Fate.RESET, reason=Reason.AROUND)
    return NodeFate(fate=Fate.KEPT, reason=Reason.UNTOUCHED)


class _Tree:
    """The nodes with their parents. Of several parents Argo knows the one whose id sorts last."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = nodes
        self._parents: dict[str, str] = {}
        for node_id in sorted(nodes):
            for child in nodes[node_id].children:
                self._parents[child] = node_id

    def parent(self, node_id: str) -> Node | None:
        return self.nodes.get(self._parents.get(node_id, ""))

    def below(self, node_id: str) -> set[str]:
        """Everything under a node by `children`, without the node itself."""
        found: set[str] = set()
        ahead = [node_id]
        while ahead:
            for child in self.nodes[ahead.pop()].children:
                if child in self.nodes and child not in found:
                    found.add(child)
                    ahead.append(child)
        return found

    def breadth_first(self, root: str) -> Iterator[Node]:
        ahead, seen = deque([root] if root in self.nodes else []), {root}
        while ahead:
            node = self.nodes[ahead.popleft()]
            yield node
            for child in node.children:
                if child in self.nodes and child not in seen:
                    seen.add(child)
                    ahead.append(child)

    def upwards(self, node: Node) -> Iterator[str]:
        """Rule 3: what is reset above a node that runs again."""
        current = self.parent(node.id)
        if current is not None and (
            current.type in _BOUNDARIES or (current.type == "Retry" and current.phase in _FAILED)
        ):
            yield current.id
        while current is not None:
            parent = self.parent(current.id)
            if parent is not None and parent.type == "Retry":
                if parent.phase in _FAILED:
                    yield parent.id
                current, parent = parent, self.parent(parent.id)
            if parent is not None and parent.type in _GROUPS:
                yield parent.id
                current = parent
            boundary = current.boundary_id
            if not boundary:
                return
            current = self._climb(current, boundary)
            if current is not None and current.type in _BOUNDARIES:
                yield current.id

    def exit_handler(self, root: str) -> set[str]:
        """The nodes of the onExit handler: a second root of their own."""
        handler = [n.id for n in self.nodes.values() if n.name == f"{root}.onExit"]
        return {below for node_id in handler for below in {node_id, *self.below(node_id)}}

    def _climb(self, node: Node, boundary: str) -> Node | None:
        """The boundary's node, reached by parents."""
        current: Node | None = node
        seen = set()
        while current is not None and current.id != boundary and current.id not in seen:
            seen.add(current.id)
            current = self.parent(current.id)
        return current if current is not None and current.id == boundary else None
