"""Which families there are, which of them can be tested here, and which passed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.families import llavas, others, qwens
from tests.families.family import Family
from tests.families.loaded import Loaded

FAMILIES = (*llavas.FAMILIES, *qwens.FAMILIES, *others.FAMILIES)

_passed: defaultdict[str, list[bool]] = defaultdict(list)
_found: dict[str, dict[str, Any]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--families-report", metavar="FILE", help="write there which families passed, as JSON")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "loaded" in metafunc.fixturenames:
        metafunc.parametrize("loaded", _cases(), indirect=True, scope="session")


def _cases() -> Iterator[Any]:
    """The families that can be tested here; of the others, that there are some."""
    missing = {family.name: [name for name in family.needs if find_spec(name) is None] for family in FAMILIES}
    yield from (pytest.param(family, id=family.name) for family in FAMILIES if not missing[family.name])
    packages = sorted({name for names in missing.values() for name in names})
    if packages:
        count = sum(map(bool, missing.values()))
        reason = f"{count} families need {', '.join(packages)}: make test-families has it"
        yield pytest.param(None, id="others", marks=pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A small checkpoint of a family, loaded by us and by plain Transformers."""
    found = Loaded(request.param, request.param.write(tmp_path_factory.mktemp("family")))
    style, most = found.ours.preprocessor.family.style, found.ours.preprocessor.family.max_frames
    _found[request.param.name] = {"placeholder": style.video_token or style.image_token, "max_frames": most}
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    case = getattr(item, "callspec", None)
    if case is not None and isinstance(family := case.params.get("loaded"), Family):
        _passed[family.name].append(report.passed)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--families-report", default=None)
    if path:
        passed = {name: _found[name] for name, steps in _passed.items() if all(steps)}
        report = {"transformers": version("transformers"), "passed": passed}
        Path(path).write_text(json.dumps(report, indent=2) + "\n")
