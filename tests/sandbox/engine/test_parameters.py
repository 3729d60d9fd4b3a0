"""What the API takes is what the installed SDK can send: every address, every parameter, at any depth."""

from __future__ import annotations

import ast
import importlib
import typing
from functools import cache
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, NotRequired, Union, get_args, get_origin

import pytest
import stripe

from sandbox.api.operation import Operation
from sandbox.api.table import TABLE
from tests.sandbox.engine.driver import Sandbox

# Not for the SDK: the operations of Checkout's own page, by which Stripe's CLI completes a session.
OF_THE_PAGE = {"/v1/payment_pages/<id>", "/v1/payment_pages/<id>/confirm"}
SERVICES = Path(stripe.__file__).parent
# Accepted to be refused in words of their own: one was removed in endive, the other takes a list of tiers.
REFUSED = {"payment_method_types", "payment_method_types.#", "tiers.*"}


@cache
def sendable() -> dict[tuple[str, str], tuple[str, str] | None]:
    """(method, path with `<id>`) of every request of the SDK's services: the module and class of its params."""
    found: dict[tuple[str, str], tuple[str, str] | None] = {}
    for source in SERVICES.rglob("*_service.py"):
        tree = ast.parse(source.read_text())
        origins = {
            name.name: str(node.module)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Attribute) and call.func.attr == "_request":
                    named = {a.arg: ast.unparse(a.annotation) for a in function.args.args if a.annotation}
                    kind = named.get("params", "").removeprefix("Optional[").strip("'\"]")
                    found[_address(call)] = (origins[kind], kind) if kind in origins else None
    return found


def _address(call: ast.Call) -> tuple[str, str]:
    method, path = call.args[0], call.args[1]
    text = path.func.value if isinstance(path, ast.Call) and isinstance(path.func, ast.Attribute) else path
    pieces = str(ast.literal_eval(text)).split("/")
    return str(ast.literal_eval(method)).upper(), "/".join("<id>" if "{" in each else each for each in pieces)


def has(module: ModuleType, hint: Any, path: list[str]) -> bool:
    """Whether a value may stand at this place of a typed dictionary: `#` is a place of a list, `*` any key."""
    if not path:
        return True
    below = [inner for option in _options(module, hint) for inner in _below(option, path[0])]
    return any(has(module, inner, path[1:]) for inner in below)


def _below(option: Any, step: str) -> list[Any]:
    if get_origin(option) is list:
        return [get_args(option)[0]] if step == "#" else []
    if get_origin(option) is dict:
        return [get_args(option)[1]]
    fields = getattr(option, "__annotations__", {})
    if step == "*":
        return list(fields.values())
    return [fields[step]] if step in fields else []


def _options(module: ModuleType, hint: Any) -> list[Any]:
    if isinstance(hint, typing.ForwardRef):
        hint = hint.__forward_arg__
    if isinstance(hint, str):
        hint = eval(hint, vars(typing) | vars(module))  # an annotation of the SDK, such as "int|str"
    if get_origin(hint) is NotRequired:
        return _options(module, get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [each for option in get_args(hint) for each in _options(module, option)]
    return [hint]


@pytest.mark.parametrize(
    "operation",
    [each for each in TABLE if each.path not in OF_THE_PAGE],
    ids=lambda each: f"{each.method} {each.path}",
)
def test_every_operation_and_parameter_is_one_of_the_sdk(operation: Operation) -> None:
    assert (operation.method, operation.path) in sendable()
    params = sendable()[operation.method, operation.path]
    accepted = sorted(set(operation.accepts.split()) - REFUSED)
    if params is None:
        assert accepted == []
        return
    module = importlib.import_module(params[0])
    assert [each for each in accepted if not has(module, getattr(module, params[1]), each.split("."))] == []


def test_the_comparison_itself_sees_what_the_sdk_cannot_send() -> None:
    assert ("POST", "/v1/customers/<id>/colour") not in sendable()
    name, kind = sendable()["POST", "/v1/checkout/sessions"] or ("", "")
    module = importlib.import_module(name)
    there = "line_items.#.price_data.recurring.interval", "metadata.*", "custom_text.submit.message"
    gone = "payment_method_types", "payment_method_types.#", "line_items.#.colour", "line_items.price"
    assert [has(module, getattr(module, kind), each.split(".")) for each in there] == [True] * 3
    assert [has(module, getattr(module, kind), each.split(".")) for each in gone] == [False] * 4


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"consent_collection": {"promotions": "auto"}}, "consent_collection[promotions]"),
        (
            {"payment_method_options": {"card": {"request_three_d_secure": "any"}}},
            "payment_method_options[card][request_three_d_secure]",
        ),
    ],
)
def test_checkout_says_what_it_would_not_do(sandbox: Sandbox, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.session(**params)
    assert (caught.value.code, caught.value.param) == ("sandbox_not_built", param)


def test_the_shops_own_words_stay_with_the_session(sandbox: Sandbox) -> None:
    session = sandbox.session(custom_text={"submit": {"message": "Thank you"}})
    assert session.custom_text.submit.message == "Thank you"
    assert session.custom_text.after_submit is None
