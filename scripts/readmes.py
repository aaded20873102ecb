"""Writes the tables of files in the README.md of every folder of src/flowtally, so that no map names what is not there.

Owns which folder has a README, what its table names, and the lines: of a module the first sentence of its docstring, of
a folder the first sentence of its README. A table keeps the order that its rows have; what is new goes to its end. All
around the table is written by hand. `--check` says which are stale and exits with 1.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parent.parent / "src" / "flowtally"
BEGIN: Final = "<!-- files: the lines are made from the files by `make docs`, the order is kept -->\n"
END: Final = "<!-- end of files -->\n"
HEAD: Final = "| here | owns |\n|---|---|\n"
_SENTENCE: Final = re.compile(r"(?<=[.?!])\s")
_ROW: Final = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)

# What has neither a docstring nor a README of its own.
OTHERS: Final = {
    "access.log.gz": "the real log of the demo",
    "made/": "the tables that the migrations make, as the engine tells them; tests compare them",
    "py.typed": "says to type checkers that this package has types",
    "samples/": "answers of the vendor as they were seen, without secrets; the tests read them",
    "style.css": "how the page looks",
    "versions/": "one file a migration, numbered and named by what it does; never edited once released",
}


def folders() -> Iterator[Path]:
    """Those that have a README: with modules in them (but the numbered migrations), or with a README already."""
    for path in (SOURCE, *sorted(SOURCE.rglob("*/"))):
        modules = list(path.glob("*.py")) and f"{path.name}/" not in OTHERS
        if path.name != "__pycache__" and (modules or (path / "README.md").exists()):
            yield path


def beside(folder: Path) -> list[str]:
    """What a README names: modules, folders (with a stroke at the end) and whatever else lies there. Not the folder's
    own `__init__.py`, where nothing is in it but words and imports."""
    names = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "__pycache__":
            names.append(f"{path.name}/")
        elif path.is_file() and path.name != "README.md" and (path.name != "__init__.py" or _has_code(path)):
            names.append(path.name)
    return names


def _has_code(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    idle = (ast.Import, ast.ImportFrom, ast.Expr)
    return any(not isinstance(node, idle) and not _is_all(node) for node in body)


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Assign, ast.AnnAssign)) and "__all__" in ast.unparse(node).split("=")[0]


def line_of(folder: Path, name: str) -> str:
    """What this owns, in one sentence."""
    path = folder / name
    if name.endswith("/") and (path / "README.md").exists():
        owns = _first((path / "README.md").read_text(encoding="utf-8").partition("\n\n")[2])
        return owns[:1].upper() + owns[1:]
    if name.endswith(".py"):
        return _first(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    if name.endswith(".sql"):
        said = [line for line in path.read_text(encoding="utf-8").split("\n") if line.startswith("--")]
        return _first(" ".join(line.lstrip("- ") for line in said))
    return OTHERS.get(name, "")


def _first(text: str) -> str:
    sentence = _SENTENCE.split(" ".join(text.split("\n\n", maxsplit=1)[0].split()))[0].removeprefix("**Owns** ")
    return sentence.rstrip(".").replace("|", "\\|")


def readme(folder: Path) -> str:
    """The README of the folder as it must be."""
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else f"# {folder.name}\n\n"
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n{BEGIN}{END}"
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    here = beside(folder)
    named = [name for name in dict.fromkeys(_ROW.findall(old)) if name in here]
    rows = [f"| `{name}` | {line_of(folder, name)} |\n" for name in dict.fromkeys([*named, *here])]
    return f"{before}{BEGIN}{HEAD}{''.join(rows)}{END}{after}"


def main() -> int:
    """Inner folders first: a line of theirs may be new."""
    stale = 0
    for folder in sorted(folders(), key=lambda one: -len(one.parts)):
        path, text = folder / "README.md", readme(folder)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in sys.argv[1:]:
            sys.stderr.write(f"stale: {path.relative_to(SOURCE.parent.parent)}; run `make docs`\n")
            stale = 1
        else:
            path.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
