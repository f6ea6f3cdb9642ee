"""Node field selectors: which nodes a call hits, exactly as Argo reads them.

The syntax is that of Kubernetes' field selectors (`k=v`, `k==v`, `k!=v`, joined by `,`), as recorded in
the contract (T17). Three of its rules hit nodes that nobody meant: a key that a node lacks has the value
"", an empty selector hits every waiting node, and so do `,` and `=`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from argo_client.types import Node


class InvalidSelector(ValueError):
    """Argo would not read this selector; the text is Argo's own."""


class EmptySelector(InvalidSelector):
    """A selector that Argo takes for "every waiting node"."""


class Operator(StrEnum):
    EQUALS = "="
    NOT_EQUALS = "!="


@dataclass(frozen=True)
class Term:
    """One requirement. The value is as meant, not escaped."""

    key: str
    operator: Operator
    value: str

    def __str__(self) -> str:
        return f"{self.key}{self.operator}{escape(self.value)}"

    def matches(self, node: Node) -> bool:
        equal = value_of(node, self.key) == self.value
        return equal if self.operator is Operator.EQUALS else not equal


@dataclass(frozen=True)
class NodeSelector:
    """At least one requirement; a node is hit when it meets all of them."""

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not any(term.key or term.value for term in self.terms):
            raise EmptySelector("A selector without a requirement would hit every waiting node.")

    @classmethod
    def where(cls, terms: Mapping[str, str]) -> NodeSelector:
        """Each key has exactly this value. Raises InvalidSelector for a key that cannot be written."""
        for key in terms:
            if not key or set(key) & set("=!,\\"):
                raise InvalidSelector(f"The key {key!r} cannot stand in a selector.")
        return cls(tuple(Term(key, Operator.EQUALS, value) for key, value in terms.items()))

    @classmethod
    def of(
        cls, *, uuid_parameter: str = "uuid", uuid: str | None = None, node_id: str | None = None
    ) -> NodeSelector:
        """The node with this UUID, this id, or both: together they hit exactly one node (T17).

        Raises EmptySelector when neither is given; an empty UUID would hit every node without one.
        """
        terms = {f"inputs.parameters.{uuid_parameter}.value": uuid, "id": node_id}
        return cls.where({key: value for key, value in terms.items() if value})

    @classmethod
    def parse(cls, text: str) -> NodeSelector:
        """Reads a selector as Argo does. Raises InvalidSelector, EmptySelector."""
        return cls(parse_terms(text))

    def __str__(self) -> str:
        return ",".join(str(term) for term in self.terms)

    def matches(self, node: Node) -> bool:
        """Whether the node meets every requirement; that it waits is for the caller to ask."""
        return all(term.matches(node) for term in self.terms)


def escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def parse_terms(text: str) -> tuple[Term, ...]:
    """The requirements as Argo reads them, none at all included. Raises InvalidSelector in Argo's words."""
    parts = [part for part in _split(text) if part]
    # Kubernetes reads the parts in sorted order, which decides which of two errors is told.
    read = {part: _term(part, text) for part in sorted(parts)}
    return tuple(read[part] for part in parts)


def value_of(node: Node, key: str) -> str:
    """What a key means on this node; "" where the node has no such thing."""
    prefix, suffix = "inputs.parameters.", ".value"
    if key.startswith(prefix) and key.endswith(suffix):
        return node.input(key[len(prefix) : -len(suffix)]) or ""
    ref = node.template_ref
    return {
        "displayName": node.display_name,
        "name": node.name,
        "id": node.id,
        "phase": node.raw_phase,
        "templateName": ref.template if ref else node.template_name,
        "templateRef.name": ref.name if ref else "",
        "templateRef.template": ref.template if ref else "",
    }.get(key, "")


def _split(text: str) -> Iterator[str]:
    """The parts between commas that no backslash escapes."""
    start = position = 0
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == ",":
            yield text[start:position]
            start = position + 1
        position += 1
    yield text[start:]


def _term(part: str, text: str) -> Term:
    """The operator is the first that stands in the part; `==` and `=` mean the same."""
    for position in range(len(part)):
        for sign in ("!=", "==", "="):
            if part.startswith(sign, position):
                operator = Operator.NOT_EQUALS if sign == "!=" else Operator.EQUALS
                return Term(part[:position], operator, _unescape(part[position + len(sign) :]))
    raise InvalidSelector(f"invalid selector: '{text}'; can't understand '{part}'")


def _unescape(value: str) -> str:
    read: list[str] = []
    characters = iter(value)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            if following not in ("\\", ",", "="):
                raise InvalidSelector(f"invalid field selector: invalid escape sequence: \\{following}")
            read.append(following)
        elif character in ",=":
            raise InvalidSelector(f"invalid field selector: unescaped character in value: {ord(character)}")
        else:
            read.append(character)
    return "".join(read)
