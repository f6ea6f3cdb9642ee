"""The layout of a workflow's timeline: a bar a node, placed in percent of the time that it covers.

Pure functions over what Argo answered; dashboard/_timeline.html draws them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from django.utils import timezone

from argo_client import Node, NodePhase, Workflow
from dashboard.wording import lasting

#: Deeper nodes are drawn at this depth; the labels would have no room left.
DEEPEST = 7
#: A bar that lasted no time must still be seen, percent.
_THINNEST = 0.5
#: Room that a note needs, percent.
_NOTE_ROOM = 24.0
_STEPS = tuple(
    timedelta(seconds=s)
    for s in (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 86400, 7 * 86400, 30 * 86400)
)
_TONES = {
    NodePhase.SUCCEEDED: "good",
    NodePhase.FAILED: "failed",
    NodePhase.ERROR: "failed",
    NodePhase.SKIPPED: "skipped",
    NodePhase.OMITTED: "skipped",
    NodePhase.PENDING: "pending",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One node. `x` and `width` are percent of the drawn time, both 0 for a node that never began.

    `tone`: waiting | running | good | failed | skipped | pending. `group`: other nodes ran inside it.
    `note` stands at `note_x` percent, from there on ("start") or up to it ("end"), `inside` the bar or not.
    """

    label: str
    depth: int
    x: float
    width: float
    tone: str
    group: bool
    focus: bool
    note: str
    note_x: float
    note_anchor: str
    inside: bool
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark below the bars; `anchor` as in SVG: start | middle | end."""

    x: float
    label: str
    anchor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """`left_out`: how many nodes are not drawn; `summary` says the picture in a sentence."""

    rows: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    left_out: int
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    start: datetime
    end: datetime

    def percent(self, moment: datetime) -> float:
        share = (moment - self.start) / (self.end - self.start)
        return round(100 * min(1.0, max(0.0, share)), 2)


def layout(
    workflow: Workflow, *, now: datetime, focus_node_id: str | None = None, limit: int = 200
) -> Timeline:
    """The workflow's nodes as a tree of bars, in the order in which they ran; running ones end at `now`.

    StepGroups are folded away. Of more than `limit` nodes the path to the focus and its siblings are drawn
    first.
    """
    tree = _Tree(workflow)
    shown = tree.chosen(focus_node_id, limit)
    span = _span(workflow, shown, now)
    rows = tuple(
        _bar(node, workflow=workflow, tree=tree, span=span, now=now, focus=node.id == focus_node_id)
        for node in shown
    )
    left_out = len(tree.order) - len(rows)
    return Timeline(
        rows=rows,
        ticks=_ticks(span, ends_now=not workflow.finished) if rows else (),
        left_out=left_out,
        summary=_summary(workflow, shown, left_out),
    )


class _Tree:
    """Which node ran inside which. Argo's `children` say what came after what: the next step is a child of
    the last one, so only the enclosing template (boundaryID) and the groups give the nesting."""

    def __init__(self, workflow: Workflow) -> None:
        self.nodes: Mapping[str, Node] = workflow.nodes
        seen_at = {node_id: at for at, node_id in enumerate(_breadth_first(workflow))}
        self.parents = self._parents(workflow.name)
        self.inside: dict[str, list[Node]] = {}
        drawn = [node for node in self.nodes.values() if node.type != "StepGroup"]
        for node in sorted(drawn, key=lambda n: (_start(n), seen_at.get(n.id, len(seen_at)), n.name)):
            self.inside.setdefault(self.parents[node.id], []).append(node)
        self.depths: dict[str, int] = {}
        self.order = self._depth_first(drawn)

    def _parents(self, root: str) -> dict[str, str]:
        parents = {}
        for node in self.nodes.values():
            outer = node.boundary_id if node.boundary_id in self.nodes else root
            parents[node.id] = "" if node.id in (root, outer) else outer
        for group in self.nodes.values():
            if group.type in ("TaskGroup", "Retry"):
                for child in (self.nodes[c] for c in group.children if c in self.nodes):
                    # What runs after the group is its child, too; only its own members carry its name.
                    if child.name.startswith(f"{group.name}("):
                        parents[child.id] = group.id
        return parents

    def _depth_first(self, drawn: list[Node]) -> list[Node]:
        order: list[Node] = []
        self._visit([(node, 0) for node in self.inside.get("", [])], order)
        # Nodes whose boundaries go in a circle hang below nothing; they are drawn all the same.
        self._visit([(node, 0) for node in drawn if node.id not in self.depths], order)
        return order

    def _visit(self, starts: list[tuple[Node, int]], order: list[Node]) -> None:
        stack = starts[::-1]
        while stack:
            node, depth = stack.pop()
            if node.id in self.depths:
                continue
            self.depths[node.id] = depth
            order.append(node)
            stack += [(child, depth + 1) for child in reversed(self.inside.get(node.id, []))]

    def chosen(self, focus_node_id: str | None, limit: int) -> list[Node]:
        """At most `limit` nodes in drawing order, those around the focus before all others."""
        if len(self.order) <= limit:
            return self.order
        wanted = dict.fromkeys([*self._around(focus_node_id), *(node.id for node in self.order)])
        kept = set(list(wanted)[:limit])
        return [node for node in self.order if node.id in kept]

    def _around(self, node_id: str | None) -> Iterator[str]:
        """The node, what it ran inside of, then its siblings, nearest first."""
        if node_id is None or node_id not in self.depths:
            return
        outer, seen = node_id, set[str]()
        while outer and outer not in seen:
            seen.add(outer)
            yield outer
            outer = self.parents[outer]
        siblings = [node.id for node in self.inside[self.parents[node_id]]]
        yield from _nearest(siblings, siblings.index(node_id))


def _nearest(items: list[str], place: int) -> Iterator[str]:
    for distance in range(1, len(items)):
        for at in (place - distance, place + distance):
            if 0 <= at < len(items):
                yield items[at]


def _breadth_first(workflow: Workflow) -> Iterator[str]:
    """Node ids along `children` from the root: the order in which the steps stand in the template."""
    queue, seen = deque([workflow.name]), {workflow.name}
    while queue:
        node_id = queue.popleft()
        yield node_id
        node = workflow.nodes.get(node_id)
        fresh = [child for child in (node.children if node else ()) if child not in seen]
        seen.update(fresh)
        queue.extend(fresh)


def _start(node: Node) -> datetime:
    return node.started_at or datetime.max.replace(tzinfo=UTC)


def _end(node: Node, workflow: Workflow, now: datetime) -> datetime:
    return node.finished_at or workflow.finished_at or now


def _span(workflow: Workflow, nodes: list[Node], now: datetime) -> _Span:
    starts = [node.started_at for node in nodes if node.started_at]
    start = min(starts, default=now)
    ends = [_end(node, workflow, now) for node in nodes if node.started_at]
    # A clock that differs from Argo's must not turn the picture around.
    return _Span(start=start, end=max([*ends, start + timedelta(seconds=1)]))


def _tone(node: Node) -> str:
    return "waiting" if node.is_waiting else _TONES.get(node.phase, "running")


def _bar(node: Node, *, workflow: Workflow, tree: _Tree, span: _Span, now: datetime, focus: bool) -> Bar:
    x, width = 0.0, 0.0
    if node.started_at is not None:
        x = min(span.percent(node.started_at), 100 - _THINNEST)
        width = round(max(_THINNEST, span.percent(_end(node, workflow, now)) - x), 2)
    group = bool(tree.inside.get(node.id))
    note = "" if group and _tone(node) in ("good", "running") else _note(node, workflow, now)
    note_x, anchor, inside = _place_of_note(x, width)
    return Bar(
        label=node.display_name,
        depth=min(tree.depths[node.id], DEEPEST),
        x=x,
        width=width,
        tone=_tone(node),
        group=group,
        focus=focus,
        note=note,
        note_x=note_x,
        note_anchor=anchor,
        inside=inside,
        title=_title(node, workflow, now),
    )


def _place_of_note(x: float, width: float) -> tuple[float, str, bool]:
    """After the bar where there is room, else inside its end, else before it."""
    end = round(x + width, 2)
    if end <= 100 - _NOTE_ROOM:
        return end, "start", False
    if width >= _NOTE_ROOM:
        return end, "end", True
    return x, "end", False


def _note(node: Node, workflow: Workflow, now: datetime) -> str:
    if node.started_at is None:
        return "not started"
    took = lasting(_end(node, workflow, now) - node.started_at)
    return {
        "waiting": f"waiting {took}",
        "failed": f"failed after {took}",
        "skipped": node.phase.lower(),
        "pending": "pending",
    }.get(_tone(node), took)


def _title(node: Node, workflow: Workflow, now: datetime) -> str:
    """What the bar shows, for those who point at it and those who cannot see it."""
    words = [node.display_name, node.type or "node", node.raw_phase or "no phase yet"]
    if node.started_at is not None:
        words.append(f"from {_clock(node.started_at)}")
        if node.finished_at is not None:
            words.append(f"to {_clock(node.finished_at)}")
        words.append(lasting(_end(node, workflow, now) - node.started_at))
    if node.message:
        words.append(node.message[:300])
    return ", ".join(words)


def _clock(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%-d %b %H:%M:%S")


def _ticks(span: _Span, *, ends_now: bool) -> tuple[Tick, ...]:
    whole = span.end - span.start
    step = next((s for s in _STEPS if whole / s <= 4), _STEPS[-1] * ceil(whole / _STEPS[-1] / 4))
    form = "%H:%M:%S" if step < timedelta(minutes=1) else "%H:%M" if step < timedelta(days=1) else "%-d %b"
    last = "now" if ends_now else _label(span.end, form)
    inner = [
        Tick(x=span.percent(moment), label=_label(moment, form), anchor="middle")
        for moment in _round_moments(span, step)
    ]
    return (
        Tick(x=0.0, label=_label(span.start, form), anchor="start"),
        *(tick for tick in inner if 14 <= tick.x <= 86),
        Tick(x=100.0, label=last, anchor="end"),
    )


def _label(moment: datetime, form: str) -> str:
    return timezone.localtime(moment).strftime(form)


def _round_moments(span: _Span, step: timedelta) -> Iterator[datetime]:
    """Multiples of the step on the local clock within the span; at most a handful."""
    offset = timezone.localtime(span.start).utcoffset() or timedelta()
    seconds = step.total_seconds()
    local = span.start.timestamp() + offset.total_seconds()
    moment = datetime.fromtimestamp((local // seconds + 1) * seconds, UTC) - offset
    while moment < span.end:
        yield moment
        moment += step


def _summary(workflow: Workflow, shown: list[Node], left_out: int) -> str:
    waiting = sum(node.is_waiting for node in shown)
    failed = sum(_tone(node) == "failed" for node in shown)
    parts = [
        f"{len(shown)} {'node' if len(shown) == 1 else 'nodes'}",
        f"{waiting} waiting",
        f"{failed} failed",
    ]
    if left_out:
        parts.append(f"{left_out} not drawn")
    return f"Timeline of {workflow.name}: {', '.join(parts)}."
