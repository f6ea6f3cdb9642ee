"""Every recorded refusal means what the contract says it means."""

from __future__ import annotations

import pytest

import argo_client
from argo_client import Again, ArgoError
from argo_client.errors import from_answer

CASES = [
    (500, "currently, set only targets suspend nodes: no suspend nodes matching nodeFieldSelector: id=x",
     "NoWaitingNode", Again.FINAL),
    (500, "timed out waiting for the condition", "LostRace", Again.RETRYABLE),
    (500, "invalid selector: 'foo'; can't understand 'foo'", "BadSelector", Again.FINAL),
    (500, "invalid field selector: unescaped character in value: 61", "BadSelector", Again.FINAL),
    (500, "node is not expecting output parameter 'other'", "OutputRefused", Again.FINAL),
    (500, "timed out waiting for the condition: raw output parameter 'answer' has not been set and does not"
     " have a default value", "OutputRefused", Again.FINAL),
    (500, 'cannot shutdown a completed workflow: workflow: "x", namespace: "argo"', "Refused", Again.FINAL),
    (400, "Cannot retry a workflow in phase Running", "Refused", Again.FINAL),
    (400, "too old resource version: 2125 (2155)", "ResourceVersionTooOld", Again.FINAL),
    (404, 'workflows.argoproj.io "x" not found', "NotFound", Again.FINAL),
    (401, "Unauthorized", "Unauthorized", Again.FINAL),
    (403, 'workflows.argoproj.io "x" is forbidden: User "v" cannot update', "Forbidden", Again.FINAL),
    (403, 'timed out waiting for the condition: workflows.argoproj.io "x" is forbidden', "Forbidden",
     Again.FINAL),
    (429, "/info.InfoService/GetVersion is rejected by grpc_ratelimit", "Throttled", Again.RETRYABLE),
    (429, None, "Throttled", Again.RETRYABLE),
    (503, 'connection error: desc = "Error while dialing: dial tcp"', "Unavailable", Again.RETRYABLE),
    (501, "Not Implemented", "NotArgo", Again.FINAL),
    (500, "something that nobody has seen before", "Unclear", Again.AMBIGUOUS),
    (502, None, "Unclear", Again.AMBIGUOUS),
    (404, None, "NotArgo", Again.FINAL),
]  # fmt: skip


def made(status: int, text: str | None, *, writes: bool) -> ArgoError:
    return from_answer(status, argo_message=text, method="PUT", path="/x", writes=writes)


@pytest.mark.parametrize(("status", "text", "name", "again"), CASES)
def test_an_answer_to_a_write_means(status: int, text: str | None, name: str, again: Again) -> None:
    error = made(status, text, writes=True)
    assert type(error) is getattr(argo_client, name)
    assert error.again is again
    assert str(error)


@pytest.mark.parametrize(("status", "text"), [(500, "something that nobody has seen before"), (502, None)])
def test_what_is_unclear_of_a_write_may_simply_be_read_again(status: int, text: str | None) -> None:
    assert made(status, text, writes=False).again is Again.RETRYABLE
