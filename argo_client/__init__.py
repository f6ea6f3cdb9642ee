"""A typed client for the REST API of an Argo Workflows server. Knows no Django."""

from __future__ import annotations

from argo_client.client import ArgoClient
from argo_client.errors import (
    Again,
    ArgoError,
    BadSelector,
    Forbidden,
    LostRace,
    NotArgo,
    NotFound,
    NoWaitingNode,
    OutputRefused,
    Refused,
    ResourceVersionTooOld,
    Throttled,
    Unauthorized,
    Unavailable,
    Unclear,
    UnexpectedAnswer,
)
from argo_client.selectors import EmptySelector, InvalidSelector, NodeSelector, Operator, Term
from argo_client.tokens import TokenSource
from argo_client.types import (
    JsonObject,
    Node,
    NodePhase,
    Parameter,
    ServerInfo,
    ServerVersion,
    TemplateRef,
    UserInfo,
    WatchEvent,
    WatchEventType,
    Workflow,
    WorkflowPage,
    WorkflowPhase,
    WorkflowTemplate,
)
from argo_client.watch import Keepalive, WorkflowStream

__all__ = [
    "Again", "ArgoClient", "ArgoError", "BadSelector", "EmptySelector", "Forbidden", "InvalidSelector",
    "JsonObject", "Keepalive", "LostRace", "NoWaitingNode", "Node", "NodePhase", "NodeSelector", "NotArgo",
    "NotFound", "Operator", "OutputRefused", "Parameter", "Refused", "ResourceVersionTooOld", "ServerInfo",
    "ServerVersion", "TemplateRef", "Term", "Throttled", "TokenSource", "Unauthorized", "Unavailable",
    "Unclear", "UnexpectedAnswer", "UserInfo", "WatchEvent", "WatchEventType", "Workflow", "WorkflowPage",
    "WorkflowPhase", "WorkflowStream", "WorkflowTemplate",
]  # fmt: skip
