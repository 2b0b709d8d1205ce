"""The cases of tests/dockerfiles: read, and laid out so that a builder can build them.

A case is a directory with `Dockerfile`, perhaps `context/` (what git can hold of the build context), perhaps `setup`
(a program that adds the rest, run in the context) and perhaps `case.toml` (see tests/dockerfiles/README.md).
"""

import os
import shutil
import subprocess
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

# Every file of a context that does not set its own time has this one: 2001-02-03T04:05:06Z.
CONTEXT_MTIME = 981173106
# Later than all times that cases and images set: what is later was made by the build.
SET_TIMES_END = 1420070400
# All cases take their base images as named contexts, which came with this version of the Dockerfile language.
NAMED_CONTEXTS = "1.4"


@dataclass(frozen=True)
class Case:
    """One Dockerfile with all that belongs to it."""

    directory: Path
    needs: str
    target: str | None = None
    platform: str = "linux/amd64"
    file: str = "Dockerfile"
    build_args: dict[str, str] = field(default_factory=dict)
    contexts: dict[str, str] = field(default_factory=dict)  # names to directories beside the context
    fails: bool = False

    @classmethod
    def read(cls, directory: Path) -> "Case":
        settings = directory / "case.toml"
        options = tomllib.loads(settings.read_text()) if settings.exists() else {}
        return cls(directory, **{"needs": NAMED_CONTEXTS, **options})

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def language(self) -> tuple[int, int]:
        """The lowest version of the Dockerfile language that builds it."""
        major, minor = self.needs.split(".")
        return int(major), int(minor)

    @property
    def architecture(self) -> str:
        return self.platform.split("/")[1]

    @property
    def expected(self) -> Path:
        return self.directory / "expected.json"


@dataclass(frozen=True)
class Prepared:
    """A case whose context is on disk, complete."""

    case: Case
    context: Path
    build_args: dict[str, str]

    @property
    def dockerfile(self) -> Path:
        return self.context / self.case.file

    @property
    def contexts(self) -> dict[str, Path]:
        return {name: self.context.parent / directory for name, directory in self.case.contexts.items()}


def read_cases(root: Path, wanted: list[str]) -> list[Case]:
    """The cases below `root` in the order of names; only those that are wanted, if any is."""
    names = sorted(path.parent.name for path in root.glob("*/Dockerfile"))
    if unknown := set(wanted) - set(names):
        raise SystemExit(f"error: no such case: {', '.join(sorted(unknown))}")
    return [Case.read(root / name) for name in names if not wanted or name in wanted]


def prepare(case: Case, work: Path, servers: dict[str, str]) -> Prepared:
    """Makes the context of a case in `work`, the same on every machine: modes and times do not come from git.

    A build argument whose value names one of the servers gets its address.
    """
    context = work / case.name / "context"
    shutil.rmtree(context.parent, ignore_errors=True)
    context.mkdir(parents=True)
    if (case.directory / "context").is_dir():
        shutil.copytree(case.directory / "context", context, symlinks=True, dirs_exist_ok=True)
    if not (context / case.file).exists():
        (context / case.file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(case.directory / "Dockerfile", context / case.file)
    set_modes(context)
    run_setup(case, context)
    set_times(context.parent)
    arguments = {name: servers.get(value, value) for name, value in case.build_args.items()}
    return Prepared(case, context, arguments)


def run_setup(case: Case, context: Path) -> None:
    setup = case.directory / "setup"
    if not setup.exists():
        return
    environment = {**os.environ, "PYTHONPATH": str(case.directory.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([setup], cwd=context, env=environment, umask=0o022, check=True)


def set_modes(context: Path) -> None:
    """Of a file's mode git keeps only whether its owner may execute it."""
    for directory, _, names in os.walk(context):
        os.chmod(directory, 0o755)
        for name in names:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def set_times(top: Path) -> None:
    """Sets the times that `setup` has not set, from the leaves up.

    The second is the same always, the nanosecond never, which layers do not have: BuildKit keeps the last context and
    does not read a file again whose name, size and time are those of a file that it has.
    """
    nanoseconds = CONTEXT_MTIME * 10**9 + time.time_ns() % 10**9
    for directory, directories, names in os.walk(top, topdown=False):
        for name in [*names, *directories, "."]:
            path = Path(directory, name)
            if path.lstat().st_mtime >= SET_TIMES_END:
                os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)
