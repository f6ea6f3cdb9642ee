"""What a retry would do to each node of a workflow: delete it, reset it, or keep it.

The computation is the server's (v4.1.2), held to every recorded retry (contract T06, T16, T19). Its rules:

1. Marked are the nodes that the selector matches, and always every failed pod, container, HTTP or plugin
   node, unless something below it has succeeded without being matched itself.
2. From the root down, each marked node that is still there is deleted with everything below it. Later steps
   and dependent tasks are below.
3. What is above each of these is reset: it runs again and waits for its parts. Deleted wins over reset.
4. With parameters, everything below each reset group goes too: succeeded siblings run again.
5. The nodes of the exit handler always go; it runs again at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from argo_client.selectors import NodeSelector
from argo_client.types import Node, NodePhase, Workflow, WorkflowPhase


class CannotRetry(ValueError):
    """Argo would refuse this retry; the text is Argo's own."""


class Fate(StrEnum):
    DELETED = "deleted"
    RESET = "reset"
    KEPT = "kept"


class Reason(StrEnum):
    """Why a node meets its fate."""

    MATCHED = "matched"
    FAILED = "failed"
    BELOW = "below"
    ABOVE = "above"
    SIBLING = "sibling"
    EXIT_HANDLER = "exit_handler"
    UNTOUCHED = "untouched"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """`cause` is the marked node, or the reset group, that this fate follows from; "" for a kept node."""

    node: Node
    fate: Fate
    reason: Reason
    cause: str = ""
    #: the children that are left
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    """Every node of the workflow, by id, in the order of `status.nodes`."""

    nodes: Mapping[str, PlannedNode]

    @property
    def deleted(self) -> tuple[PlannedNode, ...]:
        return self._with(Fate.DELETED)

    @property
    def reset(self) -> tuple[PlannedNode, ...]:
        return self._with(Fate.RESET)

    @property
    def kept(self) -> tuple[PlannedNode, ...]:
        return self._with(Fate.KEPT)

    @property
    def changes_nothing(self) -> bool:
        """Nothing runs again: the workflow ends at once as it ended before."""
        return not any(
            p.fate is not Fate.KEPT and p.reason is not Reason.EXIT_HANDLER for p in self.nodes.values()
        )

    def _with(self, fate: Fate) -> tuple[PlannedNode, ...]:
        return tuple(planned for planned in self.nodes.values() if planned.fate is fate)


def plan_retry(
    workflow: Workflow,
    *,
    restart_successful: bool = False,
    selector: NodeSelector | None = None,
    parameters: Iterable[str] = (),
) -> RetryPlan:
    """What Argo would do with these options. Raises CannotRetry where it would refuse the phase.

    `parameters` are `NAME=VALUE`; only whether there are any decides about nodes, even of unknown names.
    """
    _check_phase(workflow, named=restart_successful and selector is not None)
    chosen = selector if restart_successful else None
    graph = _Graph(workflow)
    fates = _Fates(graph)
    fates.delete_exit_handler()
    for node in graph.from_the_root():
        if node.id not in fates.deleted and (reason := _mark(node, graph, chosen)) is not None:
            fates.run_again(node, reason)
    if any(True for _ in parameters):
        fates.delete_siblings()
    return RetryPlan(nodes={node.id: fates.of(node) for node in workflow.nodes.values()})


_EXECUTED = frozenset({"Pod", "Container", "HTTP", "Plugin"})
_HOLDERS = frozenset({"DAG", "Steps", "StepGroup", "TaskGroup"})
_GROUPS = frozenset({"StepGroup", "TaskGroup"})
_FAILED = frozenset({NodePhase.FAILED, NodePhase.ERROR})


def _check_phase(workflow: Workflow, *, named: bool) -> None:
    if workflow.phase is WorkflowPhase.SUCCEEDED and not named:
        raise CannotRetry(
            "To retry a succeeded workflow, set the options restartSuccessful and nodeFieldSelector"
        )
    if not workflow.finished:
        raise CannotRetry(f"Cannot retry a workflow in phase {workflow.phase}")


class _Graph:
    """The nodes by their `children`. Where several nodes have one child, its parent is the one whose id
    sorts last, as in Argo (T19)."""

    def __init__(self, workflow: Workflow) -> None:
        self.nodes = workflow.nodes
        self.root = workflow.nodes.get(workflow.name)
        self.exit_handler = f"{workflow.name}.onExit"
        self._parents: dict[str, str] = {}
        for node in sorted(workflow.nodes.values(), key=lambda node: node.id):
            self._parents.update(dict.fromkeys(node.children, node.id))

    def parent(self, node: Node) -> Node | None:
        return self.nodes.get(self._parents.get(node.id, ""))

    def boundary(self, node: Node) -> Node | None:
        return self.nodes.get(node.boundary_id)

    def from_the_root(self) -> Iterator[Node]:
        """Breadth first, each node once; those that the root does not lead to are left out."""
        return iter(()) if self.root is None else self._breadth_first(self.root)

    def below(self, node: Node) -> Iterator[Node]:
        found = self._breadth_first(node)
        next(found)
        return found

    def _breadth_first(self, start: Node) -> Iterator[Node]:
        waiting, seen = deque([start]), {start.id}
        while waiting:
            node = waiting.popleft()
            yield node
            for child in node.children:
                if child in self.nodes and child not in seen:
                    seen.add(child)
                    waiting.append(self.nodes[child])


def _mark(node: Node, graph: _Graph, selector: NodeSelector | None) -> Reason | None:
    """Why a node runs again by itself; None if it does not."""
    if selector is not None and selector.matches(node):
        return Reason.MATCHED
    if node.type not in _EXECUTED or node.phase not in _FAILED:
        return None
    parent = graph.parent(node)
    begin = parent if parent is not None and parent.type == "Retry" else node
    went_on = any(
        below.phase is NodePhase.SUCCEEDED and not (selector is not None and selector.matches(below))
        for below in graph.below(begin)
    )
    return None if went_on else Reason.FAILED


class _Fates:
    """What has been decided so far, with its reason and cause."""

    def __init__(self, graph: _Graph) -> None:
        self.graph = graph
        self.deleted: dict[str, tuple[Reason, str]] = {}
        self.reset: dict[str, str] = {}

    def delete_exit_handler(self) -> None:
        for node in self.graph.nodes.values():
            if node.name.startswith(self.graph.exit_handler):
                self.deleted[node.id] = (Reason.EXIT_HANDLER, "")

    def run_again(self, node: Node, reason: Reason) -> None:
        self.deleted[node.id] = (reason, node.id)
        for below in self.graph.below(node):
            self.deleted.setdefault(below.id, (Reason.BELOW, node.id))
        for above in _above(node, self.graph):
            self.reset.setdefault(above.id, node.id)

    def delete_siblings(self) -> None:
        for group in [self.graph.nodes[id_] for id_ in self.reset if id_ not in self.deleted]:
            if group.type in _GROUPS:
                for below in self.graph.below(group):
                    self.deleted.setdefault(below.id, (Reason.SIBLING, group.id))

    def of(self, node: Node) -> PlannedNode:
        children = tuple(child for child in node.children if child not in self.deleted)
        if node.id in self.deleted:
            reason, cause = self.deleted[node.id]
            return PlannedNode(node=node, fate=Fate.DELETED, reason=reason, cause=cause, children=children)
        if node.id in self.reset:
            cause = self.reset[node.id]
            return PlannedNode(
                node=node, fate=Fate.RESET, reason=Reason.ABOVE, cause=cause, children=children
            )
        return PlannedNode(node=node, fate=Fate.KEPT, reason=Reason.UNTOUCHED, children=children)


def _above(node: Node, graph: _Graph) -> Iterator[Node]:
    """What is reset above a node that runs again, going up by one parent only."""
    seen: set[str] = set()
    current = graph.parent(node)
    while current is not None and current.id not in seen:
        seen.add(current.id)
        if current.type in _HOLDERS or (current.type == "Retry" and current.phase in _FAILED):
            yield current
        parent = graph.parent(current)
        while parent is not None and parent.type in (*_GROUPS, "Retry") and parent.id not in seen:
            seen.add(parent.id)
            yield parent
            current, parent = parent, graph.parent(parent)
        current = graph.boundary(current)
