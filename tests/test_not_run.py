"""What lacks a program is left out loudly, and fails where CI has to have it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from not_run import BROUGHT, lacks


@pytest.mark.parametrize(
    ("package", "ci", "outcome"),
    [
        ("nginx", "true", pytest.fail.Exception),
        ("nginx", "", pytest.skip.Exception),
        ("caddy", "true", pytest.skip.Exception),
    ],
)
def test_only_what_is_installed_in_ci_fails_there(package, ci, outcome, monkeypatch) -> None:
    """The line names what is left out, and the package."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match=f"the proxies – install Debian's package {package}"):
        lacks(package, "the proxies")


def test_noxfile_installs_what_ci_has_to_have() -> None:
    """Both name the same packages."""
    tree = ast.parse((Path(__file__).parents[1] / "noxfile.py").read_text())
    system = next(
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SYSTEM"
    )
    assert set(ast.literal_eval(system)) == BROUGHT
