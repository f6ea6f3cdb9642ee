from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string

from argo_client import Workflow
from dashboard.timeline import Bar, Timeline, layout

START = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
NOW = START + timedelta(hours=2)


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(node_id: str, **members: Any) -> dict[str, Any]:
    return {
        "id": node_id,
        "name": f"wf.{node_id}",
        "displayName": node_id,
        "type": "Pod",
        "phase": "Succeeded",
        "boundaryID": "wf",
        "startedAt": at(0),
        "finishedAt": at(10),
        **members,
    }


def root(*children: str, **members: Any) -> dict[str, Any]:
    return node("wf", name="wf", type="Steps", boundaryID="", children=list(children), **members)


def waiting(node_id: str, **members: Any) -> dict[str, Any]:
    return node(node_id, type="Suspend", phase="Running", finishedAt=None, **members)


def workflow(*nodes: dict[str, Any], phase: str = "Running", **status: Any) -> Workflow:
    return Workflow.from_json(
        {
            "metadata": {"name": "wf"},
            "status": {"phase": phase, "nodes": {n["id"]: n for n in nodes}, **status},
        }
    )


def drawn(timeline: Timeline) -> list[tuple[str, int]]:
    return [(bar.label, bar.depth) for bar in timeline.rows]


def bar(timeline: Timeline, label: str) -> Bar:
    [found] = [row for row in timeline.rows if row.label == label]
    return found


def running_root(*children: str) -> dict[str, Any]:
    return root(*children, phase="Running", finishedAt=None)


def test_bars_stand_in_percent_of_the_time_that_is_drawn() -> None:
    timeline = layout(
        workflow(running_root(), node("a"), node("b", startedAt=at(60), finishedAt=at(90))), now=NOW
    )
    assert (bar(timeline, "wf").x, bar(timeline, "wf").width) == (0, 100)
    assert (bar(timeline, "a").x, bar(timeline, "a").width) == (0, 8.33)
    assert (bar(timeline, "b").x, bar(timeline, "b").width) == (50, 25)


def test_a_wait_grows_until_now_and_says_how_long() -> None:
    flow = workflow(running_root(), waiting("gate", startedAt=at(30)))
    early, late = (layout(flow, now=START + timedelta(minutes=m)) for m in (60, 120))
    assert (bar(early, "gate").x, bar(early, "gate").width) == (50, 50)
    assert (bar(late, "gate").x, bar(late, "gate").width) == (25, 75)
    assert bar(late, "gate").tone == "waiting"
    assert bar(late, "gate").note == "waiting 1 h 30 m"


def test_a_step_group_is_folded_away_and_the_next_step_is_no_child_of_the_one_before() -> None:
    timeline = layout(
        workflow(
            running_root("[0]"),
            node("[0]", type="StepGroup", children=["job"]),
            node("job", type="Steps", children=["job[0]"]),
            node("job[0]", type="StepGroup", boundaryID="job", children=["trigger"]),
            node("trigger", boundaryID="job", children=["job[1]"]),
            node("job[1]", type="StepGroup", boundaryID="job", children=["wait"]),
            waiting("wait", boundaryID="job", startedAt=at(1)),
        ),
        now=NOW,
    )
    assert drawn(timeline) == [("wf", 0), ("job", 1), ("trigger", 2), ("wait", 2)]


def test_what_began_in_the_same_second_stands_in_the_order_of_the_steps() -> None:
    timeline = layout(
        workflow(
            running_root("[0]"),
            node("z-first", children=["[1]"]),
            node("[0]", type="StepGroup", children=["z-first"]),
            node("[1]", type="StepGroup", children=["a-second"]),
            node("a-second"),
        ),
        now=NOW,
    )
    assert [label for label, _ in drawn(timeline)] == ["wf", "z-first", "a-second"]


def test_items_and_attempts_stand_in_their_group_and_what_follows_does_not() -> None:
    timeline = layout(
        workflow(
            running_root("jobs"),
            node("jobs", type="TaskGroup", children=["jobs(0:a)", "after"]),
            node("jobs(0:a)"),
            node("after", startedAt=at(10)),
            node("flaky", type="Retry", children=["flaky(0)"], startedAt=at(20)),
            node("flaky(0)", startedAt=at(20)),
        ),
        now=NOW,
    )
    assert drawn(timeline) == [
        ("wf", 0),
        ("jobs", 1),
        ("jobs(0:a)", 2),
        ("after", 1),
        ("flaky", 1),
        ("flaky(0)", 2),
    ]


def test_a_node_type_that_nobody_knows_is_drawn_like_others() -> None:
    timeline = layout(
        workflow(running_root(), node("new", type="Quantum", phase="Entangled", finishedAt=None)), now=NOW
    )
    assert bar(timeline, "new").tone == "running"
    assert "Quantum, Entangled" in bar(timeline, "new").title


def test_a_node_that_never_began_has_no_bar() -> None:
    timeline = layout(
        workflow(running_root(), node("later", phase="Pending", startedAt=None, finishedAt=None)), now=NOW
    )
    assert (bar(timeline, "later").width, bar(timeline, "later").note) == (0, "not started")


def test_a_bar_that_lasted_no_time_can_be_seen_and_stays_in_the_picture() -> None:
    timeline = layout(workflow(running_root(), node("x", startedAt=at(120), finishedAt=at(120))), now=NOW)
    assert bar(timeline, "x").width > 0
    assert bar(timeline, "x").x + bar(timeline, "x").width <= 100


def test_what_still_ran_when_the_workflow_ended_ends_with_it() -> None:
    flow = workflow(
        root(finishedAt=at(60)),
        waiting("left"),
        node("a"),
        phase="Failed",
        finishedAt=at(60),
        startedAt=at(0),
    )
    timeline = layout(flow, now=NOW)
    assert bar(timeline, "left").width == 100
    assert timeline.ticks[-1].label != "now"


def test_a_clock_behind_argos_does_not_turn_the_picture_around() -> None:
    timeline = layout(workflow(running_root(), waiting("gate")), now=START - timedelta(minutes=5))
    assert (bar(timeline, "gate").x, bar(timeline, "gate").width) == (0, 0.5)
    assert bar(timeline, "gate").note == "waiting 0 s"


def test_notes_stand_where_there_is_room() -> None:
    timeline = layout(
        workflow(
            running_root(),
            node("short"),
            node("long", finishedAt=at(115)),
            node("late", startedAt=at(112), finishedAt=at(119)),
        ),
        now=NOW,
    )
    places = {
        name: (bar(timeline, name).note_anchor, bar(timeline, name).inside)
        for name in ("short", "long", "late")
    }
    assert places == {"short": ("start", False), "long": ("end", True), "late": ("end", False)}


@pytest.mark.parametrize("span", [1, 20, 90, 3600, 40_000, 86_400, 5 * 86_400, 400 * 86_400])
def test_there_are_a_handful_of_ticks_in_order_from_the_start_to_now(span: int) -> None:
    timeline = layout(workflow(running_root()), now=START + timedelta(seconds=span))
    places = [tick.x for tick in timeline.ticks]
    assert places == sorted(places)
    assert 2 <= len(places) <= 6
    assert (timeline.ticks[0].x, timeline.ticks[-1].x, timeline.ticks[-1].label) == (0, 100, "now")


def test_of_too_many_nodes_the_focus_with_its_path_and_nearest_siblings_comes_first() -> None:
    items = [waiting(f"jobs({n})", boundaryID="dag", startedAt=at(n / 60)) for n in range(2000)]
    flow = workflow(
        running_root(), node("other"), node("dag", type="DAG", finishedAt=None, phase="Running"), *items
    )
    timeline = layout(flow, now=NOW, focus_node_id="jobs(1500)", limit=20)
    labels = [label for label, _ in drawn(timeline)]
    assert len(labels) == 20
    assert {"wf", "dag", "jobs(1500)", "jobs(1499)", "jobs(1501)"} <= set(labels)
    assert "jobs(0)" not in labels
    assert timeline.left_out == 2003 - 20
    assert [row.label for row in timeline.rows if row.focus] == ["jobs(1500)"]
    assert f"{timeline.left_out} not drawn" in timeline.summary


def test_boundaries_that_go_in_a_circle_are_drawn_all_the_same() -> None:
    timeline = layout(workflow(running_root(), node("a", boundaryID="b"), node("b", boundaryID="a")), now=NOW)
    assert {label for label, _ in drawn(timeline)} == {"wf", "a", "b"}


def test_deep_nesting_ends_at_the_deepest_indent() -> None:
    chain = [node(f"n{i}", boundaryID=f"n{i - 1}" if i else "wf") for i in range(3000)]
    timeline = layout(workflow(running_root(), *chain), now=NOW, limit=5000)
    assert len(timeline.rows) == 3001
    assert max(row.depth for row in timeline.rows) == 7


def test_a_workflow_without_nodes_has_nothing_to_draw() -> None:
    assert layout(workflow(), now=NOW) == Timeline(
        rows=(), ticks=(), left_out=0, summary="Timeline of wf: 0 nodes, 0 waiting, 0 failed."
    )


def test_the_picture_has_a_text_for_every_bar_and_escapes_names_and_messages() -> None:
    hostile = "<script>alert(1)</script>"
    flow = workflow(running_root(), node("x", displayName=hostile, message=hostile, phase="Failed"))
    html = render_to_string("dashboard/_timeline.html", {"timeline": layout(flow, now=NOW)})
    assert html.count('role="img"') == html.count("<title>") == 2
    assert "<script>" not in html
    assert "style=" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;, Pod, Failed" in html
    assert 'x="0.0%"' in html
