from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argo_client import EmptySelector, InvalidSelector, Node, NodeSelector, Operator
from argo_client.selectors import parse_terms
from tests.contract import NAMES, exchanges

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


def wait(uuid: str | None, node_id: str = "n-1", **more: object) -> Node:
    inputs = {} if uuid is None else {"parameters": [{"name": "uuid", "value": uuid}]}
    return Node.from_json({"id": node_id, "type": "Suspend", "phase": "Running", "inputs": inputs, **more})


@given(uuid=texts, node_id=texts)
def test_what_is_built_reads_back_as_it_was_meant(uuid: str, node_id: str) -> None:
    selector = NodeSelector.of(uuid=uuid, node_id=node_id)
    assert NodeSelector.parse(str(selector)) == selector
    assert [term.value for term in selector.terms] == [uuid, node_id]


@given(uuid=texts, other=texts)
def test_a_built_selector_hits_its_own_uuid_and_no_other(uuid: str, other: str) -> None:
    selector = NodeSelector.parse(str(NodeSelector.of(uuid=uuid)))
    assert selector.matches(wait(uuid))
    assert selector.matches(wait(other)) == (uuid == other)
    assert not selector.matches(wait(None))


@pytest.mark.parametrize("text", ["", ",", ",,", "=", "==", ",="])
def test_a_selector_that_would_hit_everything_cannot_be_made(text: str) -> None:
    with pytest.raises(EmptySelector):
        NodeSelector.parse(text)


def test_neither_a_uuid_nor_an_id_is_no_selector() -> None:
    for given_ in ({}, {"uuid": ""}, {"node_id": ""}, {"uuid": "", "node_id": None}):
        with pytest.raises(EmptySelector):
            NodeSelector.of(**given_)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["a=b", "a!b", "a,b", "a\\b", ""])
def test_a_key_that_cannot_be_written_is_refused(key: str) -> None:
    with pytest.raises(InvalidSelector):
        NodeSelector.where({key: "x"})


def test_absent_keys_are_empty_and_unequal_to_everything_else() -> None:
    assert NodeSelector.parse("inputs.parameters.uuid.value=").matches(wait(None))
    assert NodeSelector.parse("no.such.key!=x").matches(wait("a"))
    assert NodeSelector.parse("inputs.parameters.uuid.value!=B").matches(wait(None))
    assert not NodeSelector.parse("id=a,id=b").matches(wait("u", "a"))
    assert NodeSelector.parse("a==b").terms[0].operator is Operator.EQUALS


def test_the_template_name_of_a_node_with_a_reference_is_that_of_the_reference() -> None:
    node = wait("a", templateName="own", templateRef={"name": "t", "template": "run-external-job"})
    assert NodeSelector.parse("templateName=run-external-job").matches(node)
    assert NodeSelector.parse("templateRef.name=t,templateRef.template=run-external-job").matches(node)
    assert not NodeSelector.parse("templateName=own").matches(node)


def recorded_refusals() -> list[tuple[str, str]]:
    found = set()
    for name in NAMES:
        for exchange in exchanges(name):
            body, said = exchange["request"].get("body"), exchange["response"].get("body")
            selector = body.get("nodeFieldSelector") if isinstance(body, dict) else None
            message = said.get("message", "") if isinstance(said, dict) else ""
            if isinstance(selector, str) and message.startswith(
                ("invalid selector", "invalid field selector")
            ):
                found.add((selector, message))
    return sorted(found)


@pytest.mark.parametrize(("selector", "message"), recorded_refusals())
def test_a_bad_selector_is_refused_in_argos_own_words(selector: str, message: str) -> None:
    with pytest.raises(InvalidSelector) as caught:
        parse_terms(selector)
    assert str(caught.value) == message
