"""Names, rows and scripts of the peers."""

import ast

import pytest

from benchmarks.peers.contestants import PEERS, chosen
from benchmarks.peers.results import HERE
from pipeline.errors import InputError


def imports(script):
    """The modules that a script imports, with those of this folder that it imports followed."""
    found, waiting = set(), [script]
    while waiting:
        tree = ast.parse((HERE / f"{waiting.pop()}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "benchmarks.peers":
                waiting += [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module.startswith("benchmarks.peers."):
                waiting.append(node.module.rpartition(".")[2])
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
    return found


@pytest.mark.parametrize("script", sorted({peer.script for peer in PEERS.values()}))
def test_scripts_do_not_import_this_project(script):
    assert "pyarrow" in imports(script)
    assert not imports(script) & {"pipeline", "stages", "benchmarks"}


@pytest.mark.parametrize("script", sorted({peer.script for peer in PEERS.values()}))
def test_scripts_write_the_rows_of_their_peers(script):
    text = (HERE / f"{script}.py").read_text(encoding="utf-8")
    for peer in PEERS.values():
        for row in peer.rows if peer.script == script else ():
            # A script may put the model's or the texts' name into the row's.
            parts = [row, row.rpartition("-")[0], row.replace(peer.model, "{task.model}")]
            assert any(part in text for part in parts), row


def test_rows_have_one_peer():
    rows = [row for peer in PEERS.values() for row in peer.rows]
    assert len(rows) == len(set(rows))


def test_peers_are_chosen_by_name():
    assert list(chosen("")) == list(PEERS)
    assert list(chosen("textbrewer, tfidf")) == ["tfidf", "textbrewer"]
    with pytest.raises(InputError, match=r"^--only: got bert; accepted: tfidf, minilm, .*textbrewer$"):
        chosen("tfidf,bert")
