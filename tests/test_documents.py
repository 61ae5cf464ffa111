"""The documents name nothing that does not exist, and the protocol's examples are messages of the service."""

from __future__ import annotations

import ast
import json
import re

import pytest
from documents import ROOT, Document, documents, faults

from service.core.protocol import CLIENT_MESSAGES, SERVER_MESSAGES, ScoreAck, decode, encode

EXAMPLES = re.findall(r'^\{"type":.*\}$', (ROOT / "docs/protocol.md").read_text(), re.MULTILINE)


@pytest.mark.starts_process
@pytest.mark.parametrize("document", documents(), ids=lambda document: document.name)
def test_what_a_document_names_exists(document: Document) -> None:
    """Every path, option, session, variable, module and link of a document exists."""
    assert faults(document) == []


@pytest.mark.starts_process
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("`service/core/nothing.py`", "no path service/core/nothing.py"),
        ("`nothing.py`", "no path nothing.py"),
        ("`tests/test_documents.py::test_nothing`", "no test tests/test_documents.py::test_nothing"),
        ("`--nothing`", "no option --nothing"),
        ("`python -m service --players 5`", "no option --players"),
        ("```console\nnox -s load -- --file x\n```", "no option --file"),
        ("`nox -s nothing`", "no session nothing"),
        ("`LEADERBOARD_PROT`", "no variable LEADERBOARD_PROT"),
        ("`python -m loadtest.nothing`", "no module loadtest.nothing"),
        ("`service.core.nothing`", "no name service.core.nothing"),
        ("`service.core.protocol.nothing`", "no name service.core.protocol.nothing"),
        ("[it](docs/nothing.md)", "no file docs/nothing.md"),
        ("[it](README.md#nothing)", "no heading README.md#nothing"),
    ],
)
def test_a_wrong_name_is_found(text: str, fault: str) -> None:
    """A name that does not exist is reported, whatever kind it is."""
    assert faults(Document("a.md", text)) == [f"a.md: {fault}"]


@pytest.mark.parametrize(
    "text",
    [
        "`service/core/protocol.py`", "`python -m service --top 5`", "`nox -s load -- --players 5`", "`nox -s chaos`",
        "`tests/test_documents.py::test_the_readme_is_short`",
        "`LEADERBOARD_RATE`", "`python -m loadtest.bench`", "`service.core.protocol.decode`", "[it](README.md)",
        "[it](#a-heading)\n\n## A heading", "prose may say --anything",
    ],
)  # fmt: skip
def test_a_right_name_is_not_reported(text: str) -> None:
    """What exists is accepted, and prose is not read as code."""
    assert faults(Document("a.md", text)) == []


def test_every_file_in_docs_is_mentioned() -> None:
    """No file in docs/ is left that no document mentions."""
    text = "\n".join(document.text for document in documents())
    assert [file.name for file in sorted((ROOT / "docs").iterdir()) if file.name not in text] == []


def test_every_module_is_on_the_map() -> None:
    """ARCHITECTURE names each module of the service, the load test, the cockpit and the page."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    files = [*ROOT.glob("service/**/*.py"), *ROOT.glob("loadtest/**/*.py"), *ROOT.glob("notebooks/cockpit/**/*.py")]
    stems = {file.stem for file in [*files, *ROOT.glob("static/*.js")]} - {"__init__"}
    assert [stem for stem in sorted(stems) if f"`{stem}`" not in text] == []


def test_locusts_page_is_started_on_loopback() -> None:
    """Each command that opens it names the address, because Locust's own default is every address.

    A worker has none.
    """
    texts = [*(document.text for document in documents()), (ROOT / "loadtest/locustfile.py").read_text()]
    commands = [line for text in texts for line in re.findall(r"^ *locust -f .*$", text, re.MULTILINE)]
    assert len(commands) >= 2
    opening = [line for line in commands if "--headless" not in line and "--worker" not in line]
    assert [line for line in opening if "--web-host 127.0.0.1" not in line] == []


def test_the_readme_is_short() -> None:
    """README has at most 900 words; a bar of a table or a dash is none."""
    assert len(re.findall(r"\S*\w\S*", (ROOT / "README.md").read_text())) <= 900


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_protocol_is_a_message(example: str) -> None:
    """The service's models read each example, and write the same text."""
    message = json.loads(example)
    if message["type"] in CLIENT_MESSAGES:
        assert encode(decode(example)).decode() == example
        return
    named = [model for model in SERVER_MESSAGES if model.type == message["type"]]
    model = ScoreAck if "durable" in message["data"] else named[0]
    read = model.model_validate_json(json.dumps(message["data"]), by_name=False, by_alias=True)
    assert encode(read).decode() == example


def test_the_protocol_has_an_example_of_every_message() -> None:
    """Each type of message is shown at least once."""
    shown = {json.loads(example)["type"] for example in EXAMPLES}
    assert shown == {*CLIENT_MESSAGES, *(model.type for model in SERVER_MESSAGES)}


def test_every_test_has_a_docstring() -> None:
    """Each test function says in its docstring what it shows."""
    bare = [
        f"{file.relative_to(ROOT)}: {node.name}"
        for file in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if not ast.get_docstring(node)
    ]
    assert bare == []
