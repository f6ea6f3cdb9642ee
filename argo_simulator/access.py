"""Who may call what: the auth modes, and the tokens that the recorder used."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from argo_simulator.operations import Caller
from argo_simulator.store import ApiError, JsonObject

_ALL = frozenset({"get", "list", "watch", "create", "update", "patch", "delete"})
_BAD_TOKEN = "token not valid. see https://argo-workflows.readthedocs.io/en/latest/faq/"  # noqa: S105
_SERVER = "system:serviceaccount:argo:argo-server"


@dataclass(frozen=True)
class Rights:
    """What a user may do to workflows; `namespace` None is everywhere."""

    user: str
    verbs: frozenset[str]
    namespace: str | None = None

    def allow(self, verb: str, namespace: str) -> bool:
        return verb in self.verbs and self.namespace in (None, namespace)

    def demand(self, verb: str, namespace: str, name: str) -> None:
        """Raises ApiError 403 in Kubernetes' words, for lists in Argo's."""
        if self.allow(verb, namespace):
            return
        if verb == "list":
            raise ApiError(
                403,
                f'Permission denied, you are not allowed to list workflows in namespace "{namespace}". Maybe'
                f" you want to specify a namespace with query parameter `.namespace={namespace}`?",
            )
        raise ApiError(
            403,
            f'workflows.argoproj.io "{name}" is forbidden: User "{self.user}" cannot {verb} resource'
            f' "workflows" in API group "argoproj.io" in the namespace "{namespace}"',
        )


_TOKENS = {
    "admin-token": Rights("admin", _ALL),
    "viewer-token": Rights("viewer", frozenset({"get", "list", "watch"})),
    "team-a-token": Rights("team-a-user", _ALL, "team-a"),
    "resume-only-token": Rights("resumer", frozenset({"get", "update"})),
    "get-patch-token": Rights("patcher", frozenset({"get", "patch"})),
    "no-list-token": Rights("no-list", _ALL - {"list"}),
}


@dataclass(frozen=True)
class Visitor:
    """The caller of one request: what Argo knows of them, and what Kubernetes lets them do."""

    caller: Caller
    rights: Rights
    claims: JsonObject

    @classmethod
    def of(cls, authorization: str | None, *, mode: str) -> Visitor:
        """Raises ApiError 401 where Argo itself turns the token down; Kubernetes does so later."""
        if mode == "server":
            return cls(Caller(_SERVER, _SERVER), Rights(_SERVER, _ALL), _service_account(_SERVER))
        scheme, _, token = (authorization or "").partition(" ")
        if scheme not in ("Bearer", "Basic") or not token:
            raise ApiError(401, _BAD_TOKEN)
        claims = _claims(token) if scheme == "Bearer" else {}
        subject = str(claims.get("sub") or "")
        rights = _rights_of(subject) if subject else _TOKENS.get(token, Rights("", frozenset()))
        known = _service_account(subject) if subject else {}
        return cls(Caller(rights.user, subject), rights, known)

    def demand(self, verb: str, namespace: str, name: str = "") -> None:
        """Raises ApiError 401 for a token that Kubernetes does not know, 403 without the right."""
        if not self.rights.user:
            raise ApiError(401, "Unauthorized")
        self.rights.demand(verb, namespace, name)


def _rights_of(subject: str) -> Rights:
    namespace = subject.split(":")[2] if subject.count(":") >= 3 else "argo"
    return Rights(subject, _ALL, None if namespace == "argo" else namespace)


def _service_account(subject: str) -> JsonObject:
    _, _, namespace, name = (subject.split(":") + [""] * 4)[:4]
    return {
        "issuer": "https://kubernetes.default.svc.cluster.local",
        "subject": subject,
        "serviceAccountName": name,
        "serviceAccountNamespace": namespace,
    }


def _claims(token: str) -> JsonObject:
    """The claims of a JWT; none of an opaque token. Nothing is verified, as in Argo."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), validate=True))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
