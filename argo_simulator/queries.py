"""What a list or a stream may ask for: label and field selectors, pages, and `fields`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from argo_simulator.store import ApiError, JsonObject

Test = Callable[[JsonObject], bool]
_REMAINING = "ext.showRemainingItemCount"
_IN = re.compile(r"\s*([\w./-]+)\s+(in|notin)\s+\(([^()]*)\)\s*")


def label_test(selector: str) -> Test:
    """A test of a workflow by its labels, in Kubernetes' syntax. Raises ApiError."""
    tests = [_requirement(part) for part in _parts(selector)]
    return lambda workflow: all(test(workflow["metadata"].get("labels") or {}) for test in tests)


def _parts(selector: str) -> list[str]:
    """The requirements; a comma within parentheses separates values, not requirements."""
    return [part for part in re.split(r",(?![^()]*\))", selector) if part.strip()]


def _requirement(part: str) -> Callable[[dict[str, str]], bool]:
    if found := _IN.fullmatch(part):
        key, operator, listed = found[1], found[2], {v.strip() for v in found[3].split(",")}
        return lambda labels: (labels.get(key) in listed) == (operator == "in")
    if re.search(r"\bin\s*\($", part):
        raise ApiError(400, "unable to parse requirement: found '!', expected: ',', or identifier")
    pieces = re.split(r"(!=|==|=)", part)
    if len(pieces) == 1:
        key = part.strip()
        return _presence(key)
    if len(pieces) > 3:
        raise ApiError(
            400, f"unable to parse requirement: found '{pieces[3]}', expected: ',' or 'end of string'"
        )
    key, operator, value = (piece.strip() for piece in pieces)
    return lambda labels: (labels.get(key) == value) == (operator != "!=")


def _presence(key: str) -> Callable[[dict[str, str]], bool]:
    if key.startswith("!"):
        return lambda labels: key[1:] not in labels
    return lambda labels: key in labels


def list_test(query: dict[str, str]) -> tuple[Test, bool]:
    """The test of a list's fieldSelector and nameFilter, and whether it asked for what remains."""
    tests: list[Test] = [label_test(query.get("listOptions.labelSelector", ""))]
    remaining = False
    for term in filter(None, query.get("listOptions.fieldSelector", "").split(",")):
        key, operator, value = _field_term(term)
        if key == _REMAINING:
            remaining = value == "true"
        elif key == "metadata.name":
            tests.append(_name_test(value, operator, query.get("nameFilter", "")))
        elif key == "metadata.namespace":
            tests.append(_namespace_test(value))
        else:
            raise ApiError(400, f"unsupported requirement {term}")
    tests += _time_tests(query)
    return (lambda workflow: all(test(workflow) for test in tests)), remaining


def _field_term(term: str) -> tuple[str, str, str]:
    key, operator, value = re.split(r"(!=|==|=|<|>)", term, maxsplit=1)
    return key, operator, value


def _namespace_test(value: str) -> Test:
    return lambda workflow: workflow["metadata"]["namespace"] == value


def _name_test(value: str, operator: str, name_filter: str) -> Test:
    if operator == "!=":
        return lambda workflow: workflow["metadata"]["name"] != value
    tests: dict[str, Callable[[str], bool]] = {
        "": lambda name: name == value,
        "Exact": lambda name: name == value,
        "Contains": lambda name: value in name,
        "Prefix": lambda name: name.startswith(value),
    }
    # An unknown filter returns everything (T03).
    test = tests.get(name_filter)
    return lambda workflow: test is None or test(workflow["metadata"]["name"])


def _time_tests(query: dict[str, str]) -> Iterator[Test]:
    if text := query.get("createdAfter"):
        after = _time(text)
        yield lambda w: datetime.fromisoformat(w["metadata"]["creationTimestamp"]) > after
    if text := query.get("finishedBefore"):
        before = _time(text)
        yield (
            lambda w: not (at := w.get("status", {}).get("finishedAt")) or datetime.fromisoformat(at) < before
        )


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        layout = "2006-01-02T15:04:05Z07:00"
        raise ApiError(500, f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"') from None


def page(items: list[JsonObject], query: dict[str, str], *, remaining: bool, version: int) -> JsonObject:
    """The list's answer. `continue` is an offset, and is told only to who asked what remains."""
    limit, offset = _number(query, "limit"), _offset(query.get("listOptions.continue", ""))
    items = sorted(items, key=lambda w: w["metadata"]["name"])
    items.sort(key=_began, reverse=True)
    rest = items[offset:]
    shown = rest[:limit] if limit else rest
    metadata: JsonObject = {"resourceVersion": str(version)}
    left = len(rest) - len(shown)
    if remaining:
        metadata["remainingItemCount"] = left
        if left:
            metadata["continue"] = str(offset + len(shown))
    # Each page is sorted once more, unfinished ones first.
    shown = sorted(shown, key=lambda w: bool(w.get("status", {}).get("finishedAt")))
    return {"metadata": metadata, "items": shown or None}


def _began(workflow: JsonObject) -> str:
    return str(workflow.get("status", {}).get("startedAt") or workflow["metadata"]["creationTimestamp"])


def _number(query: dict[str, str], name: str) -> int:
    text = query.get(f"listOptions.{name}", "") or "0"
    try:
        return int(text)
    except ValueError:
        raise ApiError(400, f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _offset(text: str) -> int:
    try:
        offset = int(text or "0")
    except ValueError:
        raise ApiError(400, "listOptions.continue must be int") from None
    if offset < 0:
        raise ApiError(400, "listOptions.continue must >= 0")
    return offset


def filtered(answer: Any, fields: str) -> Any:
    """The answer with only the named fields, or without them where the text begins with a minus.

    A path stays when it is the beginning of a wanted one, as a text: a node id that is the beginning of
    another's appears as an empty object (T03).
    """
    if not fields:
        return answer
    exclude, names = fields.startswith("-"), fields.removeprefix("-").split(",")

    def unwanted(path: str) -> bool:
        if exclude:
            return path in names
        return not any(name.startswith(path) or path.startswith(f"{name}.") for name in names)

    def clean(value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [clean(item, path) for item in value]
        if not isinstance(value, dict):
            return value
        below = {key: f"{path}.{key}" if path else key for key in value}
        return {key: clean(v, below[key]) for key, v in value.items() if not unwanted(below[key])}

    return clean(answer, "")


def typed_list(found: JsonObject) -> JsonObject:
    """A filtered list as Go writes it: what the filter took from its types comes back empty."""
    items = [typed_workflow(item) for item in found.get("items") or ()]
    return {**found, "metadata": found.get("metadata", {}), "items": items or None}


def typed_workflow(found: JsonObject) -> JsonObject:
    spec = {"arguments": {}, **found.get("spec", {})}
    status = {"startedAt": None, "finishedAt": None, **found.get("status", {})}
    return {**found, "metadata": found.get("metadata", {}), "spec": spec, "status": status}
