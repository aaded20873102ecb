"""Clients that generators make from the OpenAPI document of a server work: they are generated without a warning,
compiled strictly, and call that server.

The generators are installed at pinned versions into a folder of the user's cache, once: `openapi-python-client` beside
our own packages, because it wants an older typer than ours, and `@hey-api/openapi-ts` with TypeScript by npm. The calls
are tests/generated/calls.py and calls.ts.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.live import Live, clean_environment, live_server

CLIENTS: Final = Path(__file__).parent / "generated"
PAGE: Final = Path(__file__).parent.parent / "docs" / "openapi.md"
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowtally-tests"
NPM: Final = shutil.which("npm")
AT_LEAST: Final = 20  # calls
PATIENCE_S: Final = 280

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with live_server(tmp_path / "data") as live:
        (tmp_path / "openapi.json").write_bytes(httpx.get(f"{live.url}/schema/openapi.json").content)
        yield live


def run(*command: str | Path, folder: Path, more: dict[str, str] | None = None) -> str:
    """What the command prints, errors among it; it must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # our ruff formats what is generated
    done = subprocess.run(
        [str(one) for one in command],
        cwd=folder,
        env={**clean_environment(), "PATH": path, "NO_COLOR": "1", **(more or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def installed(pins: Path, install: Callable[[Path], object]) -> Path:
    """A folder of the cache that holds what these pins name; it is filled beside its place and moved there whole."""
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:16]
    place = CACHE / f"{pins.name}-{digest}"
    if not place.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=CACHE))
        try:
            install(made)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            shutil.rmtree(made)
            pytest.skip(f"what {pins.name} names cannot be installed: {error}")
        try:
            made.rename(place)
        except OSError:  # somebody else was faster
            shutil.rmtree(made)
            assert place.exists()
    return place


def python_generator() -> Path:
    pins = CLIENTS / "requirements.txt"
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary", ":all:")

    def install(folder: Path) -> None:
        run(sys.executable, "-m", "pip", "install", *options, "--target", folder, "-r", pins, folder=folder)

    return installed(pins, install)


def typescript_generator() -> Path:
    pins = CLIENTS / "package.json"
    options = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--no-update-notifier")

    def install(folder: Path) -> None:
        shutil.copy(pins, folder)
        assert NPM is not None
        run(NPM, "install", *options, folder=folder)

    return installed(pins, install) / "node_modules" / ".bin"


def example_of(language: str, live: Live) -> str:
    """The example of the documentation's page, for this server."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(text).replace("http://127.0.0.1:8120", live.url).replace("ft_adm_...", live.token)


def calls_of(printed: str) -> Sequence[str]:
    return printed.split("\n")[-2].split()


def nothing_odd(printed: str) -> None:
    """A generator warns of what it leaves out or does not understand."""
    odd = ("warn", "skip", "unsupported", "error", "invalid", "missing", "duplicate", "⚠")
    assert not [line for line in printed.splitlines() if any(word in line.lower() for word in odd)], printed


@pytest.mark.system
def test_the_document_is_valid_and_a_python_client_is_generated_compiles_and_calls(live: Live, tmp_path: Path) -> None:
    packages = {"PYTHONPATH": str(python_generator())}
    run(sys.executable, "-m", "openapi_spec_validator", "openapi.json", folder=tmp_path, more=packages)
    generate = ("-m", "openapi_python_client", "generate", "--path", "openapi.json", "--output-path", "made")
    nothing_odd(run(sys.executable, *generate, folder=tmp_path, more=packages))

    package = tmp_path / "made"
    shutil.copy(CLIENTS / "calls.py", package)
    (package / "page.py").write_text(example_of("python", live))
    modules = [path.relative_to(package) for path in (package / "flowtally_client").rglob("*.py")]
    assert len(modules) > 200
    every = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in modules]
    run(
        sys.executable,
        "-c",
        "import importlib, sys; [*map(importlib.import_module, sys.argv[1:])]",
        *every,
        folder=package,
    )
    run(
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        tmp_path / "mypy",
        "calls.py",
        "page.py",
        folder=package,
    )

    called = calls_of(run(sys.executable, "calls.py", live.url, live.token, folder=package))
    assert {"send_events", "thordata_create_proxy_user"} <= set(called)
    assert len(called) >= AT_LEAST
    assert run(sys.executable, "page.py", folder=package) == "1\n"


@pytest.mark.system
@pytest.mark.skipif(NPM is None or shutil.which("node") is None, reason="node and npm are not installed")
def test_a_typescript_client_is_generated_compiles_and_calls(live: Live, tmp_path: Path) -> None:
    programs = typescript_generator()
    nothing_odd(run(programs / "openapi-ts", "-i", "openapi.json", "-o", "flowtally", "--no-log-file", folder=tmp_path))

    for name in ("calls.ts", "tsconfig.json"):
        shutil.copy(CLIENTS / name, tmp_path)
    (tmp_path / "page.ts").write_text(example_of("ts", live))
    run(programs / "tsc", "--project", ".", folder=tmp_path)

    called = calls_of(run("node", "out/calls.js", live.url, live.token, folder=tmp_path))
    assert {"sendEvents", "thordataCreateProxyUser"} <= set(called)
    assert len(called) >= AT_LEAST
    assert run("node", "out/page.js", folder=tmp_path) == "1\n"
