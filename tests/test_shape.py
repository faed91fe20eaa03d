"""The rules of the house that a machine can hold (reference/style.md section 4)."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from adjoin import __version__

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src" / "adjoin"
TESTS: Final = ROOT / "tests"
LAYERS: Final = ("cli", "connector", "identity", "odata", "service", "store", "web")

MODULES: Final = sorted(
    path for path in SOURCE.rglob("*.py") if "migrations" not in path.parts and path.stat().st_size > 0
)
EACH: Final = pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(SOURCE)) for path in MODULES])

_BARE: Final = re.compile(r"utils?|helpers?|managers?|base|common|misc")

# Tests that are named for a thing that several modules do together, and not for a module.
BESIDE: Final = {
    "cli/test_commands.py": ["app.py", "check.py", "main.py", "tenant.py", "token.py", "version.py"],
    "cli/test_connector.py": ["connector.py", "machine.py"],
    "cli/test_ends.py": ["main.py", "options.py", "output.py", "words.py"],
    "cli/test_loaded.py": ["main.py", "options.py", "running.py"],
    "cli/test_race.py": ["options.py"],
    "cli/test_reference.py": ["main.py"],
    "cli/test_serve_tls.py": ["listener.py", "serve.py"],
    "identity/test_logs.py": ["parties.py", "plain.py", "tokens.py"],
    "store/test_processes.py": ["sqlite.py"],
    "store/test_records.py": ["applications.py", "settings.py", "tenants.py"],
    "web/test_clouds.py": ["app.py", "login/discovery.py"],
    "web/test_connector_histories.py": ["connector_api.py", "operations.py"],
    "web/test_external_issuers.py": ["app.py", "issuers.py"],
    "web/test_headers.py": ["app.py", "exchange.py"],
    "web/test_login.py": ["login/__init__.py"],
    "service/test_two_nodes.py": ["deliveries.py"],
    "web/test_bad_assertions.py": ["login/forms.py", "login/token.py"],
    "web/test_login_clients.py": ["login/discovery.py", "login/forms.py", "login/token.py"],
    "web/test_login_devices.py": ["login/device.py"],
    "web/test_login_hosts.py": ["login/hosts.py"],
    "web/test_login_pages.py": ["login/pages.py", "login/tickets.py"],
    "web/test_login_people.py": ["login/authorize.py"],
    "web/test_paging.py": ["operations.py"],
    "web/test_nodes.py": ["graph.py"],
    "web/test_racing_creates.py": ["operations.py"],
    "web/test_revocation.py": ["failures.py", "graph.py"],
    "web/test_silence.py": ["operations.py"],
    "web/test_tenants.py": ["graph.py", "operations.py"],
}


@EACH
def test_module_is_not_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 450


@EACH
def test_module_says_its_duty_in_one_to_four_sentences(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert said, "it does not begin with a docstring"
    assert path.read_text("utf-8").startswith('"""')
    assert said.rstrip().endswith(".")


@EACH
def test_module_is_named_by_a_noun_or_verb(path: Path) -> None:
    assert not _BARE.fullmatch(path.stem)


@EACH
def test_no_function_is_long(path: Path) -> None:
    """60 lines at most; what a command line has for options, and words for them, is not counted."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.body[0].lineno < 60, node.name


def test_functions_are_short_as_a_rule() -> None:
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert lengths[len(lengths) // 2] < 10


def _named() -> list[str]:
    found = (path for layer in LAYERS for path in (TESTS / layer).glob("test_*.py"))
    return sorted(str(path.relative_to(TESTS)) for path in found)


@pytest.mark.parametrize("name", _named())
def test_tests_mirror_the_tree(name: str) -> None:
    layer, _, file = name.partition("/")
    modules = BESIDE.get(name, [file.removeprefix("test_")])
    missing = [each for each in modules if not (SOURCE / layer / each).is_file()]
    assert not missing, "name a module, or say in BESIDE which modules it is about"


def test_exceptions_are_of_tests_that_there_are() -> None:
    assert not [name for name in BESIDE if not (TESTS / name).is_file()]


def test_changelog_knows_the_version_or_the_next() -> None:
    headings = re.findall(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0] == __version__
