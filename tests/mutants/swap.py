"""Puts a bug into the running program, and takes it out again.

To start a program for each bug would take longer than all their tests. So the functions that an edit changes get other
code where they are, whoever has imported them, and constants get another value.
"""

from __future__ import annotations

import ast
import builtins
import dis
import importlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

from billing.extensions import csrf
from tests.mutants.catalogue import ROOT, Edit


class OutOfDate(Exception):
    """The code has moved on: an edit of the catalogue finds nothing, or does not do what it did."""


@contextmanager
def put_in(edits: Sequence[Edit]) -> Iterator[None]:
    """The program with these edits. Raises OutOfDate where one does not fit the code any more."""
    with ExitStack() as undo:
        _remember_exemptions(undo)
        for file in dict.fromkeys(edit.file for edit in edits):
            _change(file, edited(file, edits), undo)
        yield


def edited(file: str, edits: Sequence[Edit]) -> str:
    """What the file would say. Raises OutOfDate where one of its edits has not exactly one place."""
    text = changed = (ROOT / file).read_text(encoding="utf-8")
    for edit in edits:
        if edit.file == file:
            if text.count(edit.old) != 1 or changed.count(edit.old) != 1:
                raise OutOfDate(f"{file} has these lines {text.count(edit.old)} times, not once:\n{edit.old}")
            changed = changed.replace(edit.old, edit.new)
    return changed


def _change(file: str, changed: str, undo: ExitStack) -> None:
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    before, after = ((ROOT / file).read_text(encoding="utf-8"), changed)
    code = compile(changed, str(ROOT / file), "exec")
    _compare(module, module, ast.parse(before), ast.parse(after), code, undo)


def _compare(module: ModuleType, holder: Any, old: Any, new: Any, code: CodeType, undo: ExitStack) -> None:
    """``holder``: the module, or a class in it, whose statements are these."""
    if len(old.body) != len(new.body):
        raise OutOfDate(f"{module.__name__}: an edit may change functions and constants, and make none")
    for was, will in zip(old.body, new.body, strict=True):
        if ast.dump(was) != ast.dump(will):
            _replace(module, holder, was, will, code, undo)


def _replace(
    module: ModuleType, holder: Any, old: ast.stmt, new: ast.stmt, code: CodeType, undo: ExitStack
) -> None:
    if isinstance(old, ast.FunctionDef) and isinstance(new, ast.FunctionDef) and _head(old) == _head(new):
        _give_code(module, vars(holder)[new.name], _code_of(code, new.name), undo)
    elif isinstance(new, ast.ClassDef):
        _compare(module, vars(holder)[new.name], old, new, _code_of(code, new.name), undo)
    elif isinstance(new, ast.Assign) and isinstance(new.targets[0], ast.Name) and holder is module:
        _give_value(module, new.targets[0].id, new, undo)
    else:
        raise OutOfDate(
            f"{module.__name__}: only a function's body or a constant can be swapped: {ast.unparse(new)}"
        )


def _head(function: ast.FunctionDef) -> list[str]:
    """What code alone does not carry: name, parameters with their defaults, decorators."""
    return [function.name, *map(ast.dump, (function.args, *function.decorator_list))]


def _code_of(code: CodeType, name: str) -> CodeType:
    return next(one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == name)


def _give_code(module: ModuleType, found: Any, code: CodeType, undo: ExitStack) -> None:
    if unknown := _unknown(module, code):
        raise OutOfDate(
            f"{module.__name__}.{code.co_name} would not run: it knows no {', '.join(sorted(unknown))}"
        )
    function = inspect.unwrap(found)
    assert isinstance(function, FunctionType)
    forget = getattr(found, "cache_clear", lambda: None)
    undo.callback(forget)
    undo.callback(setattr, function, "__code__", function.__code__)
    function.__code__ = code
    forget()


def _unknown(module: ModuleType, code: CodeType) -> set[str]:
    """Names that would not be found: a bug that only breaks the program is none that anybody had."""
    named = {one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL"}
    inner = (_unknown(module, one) for one in code.co_consts if isinstance(one, CodeType))
    return (named - vars(module).keys() - vars(builtins).keys()).union(*inner)


def _give_value(module: ModuleType, name: str, statement: ast.stmt, undo: ExitStack) -> None:
    """Also where it was imported by this name."""
    there = dict(vars(module))
    exec(compile(ast.Module([statement], []), module.__name__, "exec"), there)
    was = vars(module)[name]
    for other in [one for known, one in sys.modules.items() if known.partition(".")[0] in ("app", "billing")]:
        if vars(other).get(name) is was:
            undo.callback(setattr, other, name, was)
            setattr(other, name, there[name])


def _remember_exemptions(undo: ExitStack) -> None:
    """An extension is one for all applications: what a bug tells it must not stay."""
    for exempt in (csrf._exempt_views, csrf._exempt_blueprints):
        undo.callback(exempt.update, set(exempt))
        undo.callback(exempt.clear)
