from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import trigger_client_event
from django_htmx.middleware import HtmxDetails

from argo_client import ArgoError
from dashboard import actions, clusters, freshness, history, snippets, timeline
from dashboard.access import LoginRequired, may_act, person
from dashboard.actions import Result
from dashboard.audit import Deed
from dashboard.board import Row, RowResult, board, known_waits, rows_of
from dashboard.forms import ResumeForm, StopForm
from dashboard.models import AuditEntry, Wait

#: Drawing a timeline must not hang a page: (connect, read) in seconds.
_TIMELINE_TIMEOUT = (1.0, 3.0)


class HtmxRequest(HttpRequest):
    htmx: HtmxDetails


@login_not_required
@require_GET
def board_page(request: HtmxRequest) -> HttpResponse:
    """The board, whole or as the fragment that polls.

    A poll with nothing new is most of all requests, so it is answered from two small queries: the session,
    and how the mirrors stand. It says nothing but "nothing new"; everything else is for users alone.
    """
    if SESSION_KEY not in request.session:
        return _to_login(request)
    clusters_now = freshness.of_all_clusters()
    if request.htmx and request.GET.get("v") == freshness.version(clusters_now):
        return _with_seen(HttpResponse(status=204), clusters_now)
    if not request.user.is_authenticated:
        return _to_login(request)
    shown = board(request, may_act=may_act(request.user), clusters_now=clusters_now)
    template = "dashboard/_board.html" if request.htmx else "dashboard/board.html"
    return _with_seen(render(request, template, {"board": shown}), clusters_now)


@require_GET
def wait_page(request: HtmxRequest, wait_id: UUID) -> HttpResponse:
    wait = get_object_or_404(known_waits(), pk=wait_id)
    return render(request, "dashboard/wait.html", _wait_context(request, wait))


@require_GET
def wait_timeline(request: HtmxRequest, wait_id: UUID) -> HttpResponse:
    wait = get_object_or_404(known_waits(), pk=wait_id)
    return render(request, "dashboard/_timeline.html", {"wait": wait, **_timeline(wait)})


@require_GET
def wait_row(request: HtmxRequest, wait_id: UUID) -> HttpResponse:
    """The row without its panel: what Cancel leads back to."""
    wait = get_object_or_404(known_waits(), pk=wait_id)
    return _row_response(request, _row(request, wait))


@require_http_methods(["GET", "POST"])
def wait_resume(request: HtmxRequest, wait_id: UUID) -> HttpResponse:
    wait = get_object_or_404(known_waits(), pk=wait_id)
    _require_operator(request, wait, Deed(action="resume"))
    if request.method == "GET":
        return _panel(request, wait, panel="resume", form=ResumeForm(outputs=wait.supplied_outputs))
    form = ResumeForm(request.POST, outputs=wait.supplied_outputs)
    if not form.is_valid():
        return _panel(request, wait, panel="resume", form=form)
    result = actions.resume(wait, actor=person(request), outputs=form.outputs)
    form.add_output_errors(result.outputs or {})
    return _outcome(request, wait, panel="resume", form=form, result=result)


@require_http_methods(["GET", "POST"])
def wait_stop(request: HtmxRequest, wait_id: UUID) -> HttpResponse:
    wait = get_object_or_404(known_waits(), pk=wait_id)
    _require_operator(request, wait, Deed(action="stop"))
    if request.method == "GET":
        return _panel(request, wait, panel="stop", form=StopForm())
    form = StopForm(request.POST)
    if not form.is_valid():
        return _panel(request, wait, panel="stop", form=form)
    result = actions.stop(wait, actor=person(request), message=form.cleaned_data["message"])
    return _outcome(request, wait, panel="stop", form=form, result=result)


def _require_operator(request: HttpRequest, wait: Wait, deed: Deed) -> None:
    """Raises PermissionDenied for people who may only look; an attempt to act is written down."""
    if may_act(request.user):
        return
    sentence = "You may look at this wait but not act on it. Ask an admin to make you an operator."
    if request.method == "POST":
        actions.refuse(wait, actor=person(request), deed=deed, sentence=sentence)
    raise PermissionDenied(sentence)


def _panel(request: HtmxRequest, wait: Wait, **parts: Any) -> HttpResponse:
    """The row with its form open under it and a fresh look at what would be hit."""
    preview = actions.preview(wait)
    wait.refresh_from_db()
    return _row_response(request, _row(request, wait, preview=preview, **parts))


def _outcome(request: HtmxRequest, wait: Wait, *, form: Any, panel: Any, result: Result) -> HttpResponse:
    """The row after an action; while the wait still waits the form stays open with what was typed."""
    wait.refresh_from_db()
    shown = RowResult.of(result.outcome, result.sentence)
    if result.outcome != AuditEntry.Outcome.APPLIED and wait.is_waiting:
        return _panel(request, wait, panel=panel, form=form, result=shown)
    return _row_response(request, _row(request, wait, result=shown))


def _row(request: HttpRequest, wait: Wait, **parts: Any) -> Row:
    [row] = rows_of([wait], may_act=may_act(request.user))
    return Row(wait=wait, may_act=row.may_act, twins=row.twins, **parts)


def _row_response(request: HtmxRequest, row: Row) -> HttpResponse:
    """The row for htmx; without it a page of its own."""
    if request.htmx:
        on_wait_page = request.headers.get("HX-Target") == "wait-actions"
        template = "dashboard/_wait_actions.html" if on_wait_page else "dashboard/_row.html"
        return render(request, template, {"row": row, "wait": row.wait})
    return render(request, "dashboard/action.html", {"row": row, "wait": row.wait})


def _wait_context(request: HttpRequest, wait: Wait) -> dict[str, Any]:
    return {
        "wait": wait,
        "row": _row(request, wait),
        "events": history.events(wait),
        "end_sentence": history.end_sentence(wait),
        "selector": str(actions.selector_for(wait)),
        "curl_resume": snippets.curl_resume(wait),
        "curl_stop": snippets.curl_stop(wait),
        "clusters": freshness.of_all_clusters(),
        **_timeline(wait),
    }


def _timeline(wait: Wait) -> dict[str, Any]:
    """The workflow as Argo shows it now, drawn; or the sentence why it cannot be."""
    try:
        workflow = clusters.client(wait.cluster).get_workflow(
            wait.namespace, wait.workflow, timeout=_TIMELINE_TIMEOUT
        )
    except ArgoError as error:
        return {"timeline_error": str(error)}
    if workflow.uid != wait.workflow_uid:
        return {"timeline_error": "The workflow of this wait was deleted; another one now has its name."}
    return {"timeline": timeline.layout(workflow, now=timezone.now(), focus_node_id=wait.node_id)}


def _with_seen(response: HttpResponse, clusters_now: list[freshness.Freshness]) -> HttpResponse:
    return trigger_client_event(response, "waitdesk:seen", freshness.seen(clusters_now))


def _to_login(request: HttpRequest) -> HttpResponse:
    response = LoginRequired(lambda r: HttpResponse()).handle_no_permission(request, board_page)
    assert isinstance(response, HttpResponse)  # noqa: S101
    return response
