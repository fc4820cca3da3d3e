"""A live consumer of the package is handed to a process by some command: none is forgotten."""

from __future__ import annotations

import ast
from pathlib import Path

import umtrace

PACKAGE = Path(umtrace.__file__).parent
OWN = PACKAGE / "pipeline"  # what makes and carries updates


def consumers(tree):
    """Yield the functions of a module that take the updates of a run."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            kinds = [ast.unparse(arg.annotation) for arg in node.args.args if arg.annotation]
            if any(kind.endswith("[Update]") for kind in kinds):
                yield node.name


def run(tree):
    """Yield what is handed to a process."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    for call in calls:
        if ast.unparse(call.func).rpartition(".")[2] == "ConsumerProcess":
            yield ast.unparse(call.args[0]).rpartition(".")[2]


def forgotten(texts):
    trees = [ast.parse(text) for text in texts]
    return {name for t in trees for name in consumers(t)} - {name for t in trees for name in run(t)}


def test_one_that_nothing_runs_is_found():
    made = "def screen(updates: Iterator[Update]) -> None: ..."
    assert forgotten([made]) == {"screen"}
    assert forgotten([made, "sinks = [pipeline.ConsumerProcess(screen)]"]) == set()


def test_each_consumer_is_run():
    files = [path for path in PACKAGE.rglob("*.py") if OWN not in path.parents]
    assert len(files) > 100
    assert forgotten(path.read_text() for path in files) == set()
