"""README.md, followed in a bare Debian by somebody who does nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.clean_root import HOME, PROJECT, Root, make_root
from tests.deploy.follow import Block, blocks, matches
from tests.effort import effort

HERE = Path(__file__).parent
README = (PROJECT / "README.md").read_text()
# What every Debian server has beyond a bare root; the stand-in for systemctl asks for it.
MACHINE = ("systemd",)
SECONDS = effort(test=0.0, prove=1800.0, full=7200.0)
# The page's `make test` takes as long as here; it is followed, too, where there is time.
ALL_TESTS = effort(test=False, prove=False, full=True)

MakeRoot = Callable[..., Root]


@pytest.fixture
def clean_root(tmp_path: Path) -> Iterator[MakeRoot]:
    """Makes roots that are gone at the end of the test, which would be kept for a while otherwise."""
    made: list[Root] = []

    def make(*debian: str, requirements: str = "runtime.txt") -> Root:
        made.append(make_root(tmp_path / f"root{len(made)}", debian, requirements))
        return made[-1]

    yield make
    for root in made:
        root.close()


def asked_of_apt(page: str) -> set[str]:
    """The packages that a page installs."""
    lines = re.findall(r"^apt-get install -y (.+)$", page, re.MULTILINE)
    return {name for line in lines for name in line.split()}


def asked_of_the_system() -> set[str]:
    """The packages that the tests install."""
    return set(
        re.findall(r"^want \S+ (\S+)$", (PROJECT / "tests/system_packages.sh").read_text(), re.MULTILINE)
    )


@pytest.mark.prove
def test_the_readme_is_true(clean_root: MakeRoot) -> None:
    debian = {*asked_of_apt(README), *MACHINE, *(asked_of_the_system() if ALL_TESTS else ())}
    root = clean_root(*sorted(debian), requirements="test.txt" if ALL_TESTS else "runtime.txt")
    for name in ("follow.py", "systemctl.py"):
        shutil.copy(HERE / name, root.folder / "usr/local/bin" / name.replace("systemctl.py", "systemctl"))
    (root.folder / "usr/local/bin/systemctl").chmod(0o755)
    followed = subprocess.run(
        root.command("python3", "/usr/local/bin/follow.py", "README.md", *(["--tests"] if ALL_TESTS else [])),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
    )
    printed = followed.stdout.decode(errors="replace")
    print(printed)
    assert followed.returncode == 0, printed
    assert f"{len(blocks(README))} blocks followed" in printed
    log = (root.folder / "var/log/imserver.log").read_text()
    assert "Traceback" not in log, log
    assert "plugin cache" not in log, log
    # It is what the page says it is: nothing of this directory is left in what was installed.
    assert str(HOME) not in (root.folder / "opt/imserver/bin/imserver").read_text()


def test_blocks_and_what_is_shown_for_them() -> None:
    page = "a\n```sh\none\ntwo\n```\n```text\nshown\n```\n```toml\nx\n```\n"
    page += "```sh\nthree\n```\nb\n```text\nnot of three\n```\n"
    assert blocks(page) == [Block("one\ntwo\n", "shown\n"), Block("three\n", None)]
    assert len(blocks(README)) > 8


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\nb", True),
        ("a\nb\n", "a\n", False),
        ("a\n", "a\nb\n", False),
        ("a … c\n", "a b c\n", True),
        ("a … c\n", "a b\nc\n", False),
        ("a.c\n", "abc\n", False),
        ("…\nb\n", "x\ny\nb\n", True),
        ("…\nb\n", "b\n", True),
        ("…\nb\n", "x\nb\nc\n", False),
        ("…\nb\n…\n", "x\nb\nc\n", True),
    ],
)
def test_what_is_shown_is_what_was_printed(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def test_the_operations_page_says_the_same() -> None:
    operations = {line.strip() for line in (PROJECT / "docs/operations.md").read_text().splitlines()}
    (program,) = (block for block in blocks(README) if block.commands.startswith("apt-get"))
    missing = set(program.commands.splitlines()[1:]) - operations
    assert not missing
