"""Maps that cannot lie: each folder of the source has a README that names what is beside it, and every path that a map
names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.source_trees import SOURCE, sources, tree

ROOT = Path(__file__).parent.parent
MAP = ROOT / "docs" / "architecture.md"
PACKAGES = sorted(
    {path.parent for path in SOURCE.rglob("*.py")} - {SOURCE / "ledger/migrations/versions"} | {SOURCE / "demo"}
)
READMES = [folder / "README.md" for folder in PACKAGES]
TABLE = re.compile(r"<!-- files:[^\n]*\n(.*?)<!-- end of files -->", re.DOTALL)
ROW = re.compile(r"^\| `([^`]+)` \| (.*) \|$", re.MULTILINE)
PATH = re.compile(r"`((?:[\w<>*.-]+/)*(?:[\w<>*-]+\.(?:py|md|sql|css|toml)|[\w<>*.-]+/))`")


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def rows_of(readme: Path) -> dict[str, str]:
    tables = TABLE.findall(readme.read_text())
    assert len(tables) == 1, shown(readme)
    rows = ROW.findall(tables[0])
    assert len(rows) == len(dict(rows)), f"{shown(readme)} names something twice"
    return dict(rows)


def is_bare(module: Path) -> bool:
    """Whether nothing is in it but words, imports and the names that are handed on."""
    for node in tree(module).body:
        named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if not named and not isinstance(node, (ast.Import, ast.ImportFrom, ast.Expr)):
            return False
    return True


@pytest.mark.parametrize("readme", READMES, ids=shown)
def test_each_folder_names_what_is_beside_its_readme_and_nothing_else(readme: Path) -> None:
    beside = {f"{path.name}/" for path in readme.parent.iterdir() if path.is_dir() and path.name != "__pycache__"}
    beside |= {path.name for path in readme.parent.iterdir() if path.is_file() and path.suffix != ".pyc"}
    beside -= {"README.md"}
    if (own := readme.parent / "__init__.py").exists() and is_bare(own):
        beside -= {own.name}
    assert rows_of(readme).keys() == beside


@pytest.mark.parametrize("readme", READMES, ids=shown)
def test_each_line_says_something_and_says_it_once(readme: Path) -> None:
    said = list(rows_of(readme).values())
    assert all(len(line) > 10 for line in said), said
    assert len(said) == len(set(said))


@pytest.mark.parametrize("readme", READMES, ids=shown)
def test_each_readme_says_in_words_what_belongs_there(readme: Path) -> None:
    before = readme.read_text().split("<!-- files:")[0]
    assert len(before.split()) >= 20, "a title and a table are not enough"


def test_the_map_names_every_folder_and_module_at_the_top() -> None:
    table = MAP.read_text().split("## Which folder owns what")[1].split("\n\n")[2]
    named = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    there = {f"{path.parent.name}/" for path in SOURCE.glob("*/README.md")}
    there |= {path.name for path in SOURCE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert sorted(named) == sorted(there)


def cells(page: Path) -> Iterator[str]:
    """What stands together: a cell of a table, or a paragraph."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for block in text.split("\n\n"):
        if block.lstrip().startswith("|"):
            yield from re.split(r"\|", block)
        else:
            yield block


def dead(page: Path) -> Iterator[str]:
    """Paths that lead nowhere: from the folder named before, the page's, the one above, the source, the root."""
    for cell in cells(page):
        before = page.parent
        for path in PATH.findall(cell):
            pattern = re.sub(r"<\w+>", "*", path)
            found = [
                one for base in (before, page.parent, page.parent.parent, SOURCE, ROOT) for one in base.glob(pattern)
            ]
            if not found:
                yield path
            elif "/" in path:
                before = found[0] if found[0].is_dir() else found[0].parent


@pytest.mark.parametrize("page", [MAP, ROOT / "CONTRIBUTING.md", *READMES], ids=shown)
def test_every_path_that_a_map_names_is_there(page: Path) -> None:
    assert list(dead(page)) == []


@pytest.mark.parametrize("readme", READMES, ids=shown)
def test_links_of_readmes_lead_somewhere(readme: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", readme.read_text())
    assert [link for link in links if not (readme.parent / link).exists()] == []


def test_every_module_says_what_it_owns() -> None:
    silent = [shown(path) for path in sources() if path.name != "__init__.py" and not ast.get_docstring(tree(path))]
    assert silent == []


def test_a_path_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    """So that a map of which the test sees nothing does not count as true."""
    (tmp_path / "here.py").touch()
    page = tmp_path / "README.md"
    page.write_text("| `here.py` | `nowhere.py` |\n\nSee `core/edges.py`, `nothing.py`; `core/` and `gone/`.\n")
    assert list(dead(page)) == ["nowhere.py", "nothing.py", "gone/"]


NAMED = re.compile(r"`(?:flowtally\.)?((?:\w+\.)+\w+)`")


def names_nothing(text: str) -> Iterator[str]:
    """Dotted names of modules, or of what is in them, that lead nowhere: `ledger.accounts` after it has moved."""
    for name in NAMED.findall(text):
        place, rest = SOURCE, name.split(".")
        if not (SOURCE / rest[0]).is_dir() or rest[-1] in ("db", "key", "py"):
            continue
        while rest and (place / rest[0]).is_dir():
            place /= rest.pop(0)
        if rest and (place / f"{rest[0]}.py").exists():
            place /= f"{rest.pop(0)}.py"
        said = (place if place.is_file() else place / "__init__.py").read_text()
        if any(not re.search(rf"\b{part}\b", said) for part in rest):
            yield name


def test_every_module_that_a_docstring_or_a_comment_names_is_there() -> None:
    python = [path for place in ("src", "tests", "bench", "scripts") for path in sorted((ROOT / place).rglob("*.py"))]
    found = {shown(path): [*names_nothing(path.read_text())] for path in python if path != Path(__file__)}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_name_that_leads_nowhere_is_found() -> None:
    text = (
        "`core.edges`, `flowtally.core.edges.parse_instant`, `ledger.accounts`, `core.edges.gone`, `ledger.db`, `a.b`"
    )
    assert list(names_nothing(text)) == ["ledger.accounts", "core.edges.gone"]
