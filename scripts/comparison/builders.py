"""The programs that build a case: BuildKit through `buildctl` or `docker buildx`, and onlay."""

import json
import os
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from .cases import Prepared
from .image import Layout

# Of the error of a failed build this much is shown.
FAILURE_LENGTH = 300
# What BuildKit's errors say of this one run: its names for snapshots and sessions, and where it mounts them.
OF_THIS_RUN = re.compile(r" of ref \w+::\w+|/\S*/buildkit\d+(?=/)")
# The images of `base.py`, each a named context of every case.
IMAGES = ("base", "other", "configured", "onbuild")


class BuildFailed(Exception):
    """The builder refused the Dockerfile, or failed to build it."""


@dataclass(frozen=True)
class Builder(ABC):
    """A program that builds cases into OCI layouts."""

    images: Layout
    version: str = ""
    language: tuple[int, int] = (1, 0)  # the version of the Dockerfile language

    @abstractmethod
    def command(self, case: Prepared, output: Path) -> list[str]:
        """The command line that builds `case` into the layout `output`."""

    @abstractmethod
    def failure(self, errors: str) -> str:
        """What of its standard error says why a build failed."""

    def build(self, case: Prepared, output: Path) -> str:
        """Builds a case and gives the digest of what was built."""
        shutil.rmtree(output, ignore_errors=True)
        run = subprocess.run(self.command(case, output), capture_output=True, text=True, env=environment())
        if run.returncode != 0:
            raise BuildFailed(OF_THIS_RUN.sub("", self.failure(run.stderr))[:FAILURE_LENGTH])
        return Layout(output).digest()


@dataclass(frozen=True)
class Buildctl(Builder):
    """BuildKit's own client, with the daemon that BUILDKIT_HOST names."""

    def command(self, case: Prepared, output: Path) -> list[str]:
        images = {name: f"oci-layout://images@{self.images.digest(name)}" for name in IMAGES}
        local = {name: f"local:{name}" for name in case.contexts}
        options = {
            "filename": case.case.file,
            "platform": case.case.platform,
            **({"target": case.case.target} if case.case.target else {}),
            **{f"build-arg:{name}": value for name, value in case.build_args.items()},
            **{f"context:{name}": source for name, source in (images | local).items()},
        }
        directories = {"context": case.context, "dockerfile": case.context, **case.contexts}
        return [
            *["buildctl", "build", "--progress=plain", "--frontend=dockerfile.v0"],
            *[f"--local={name}={path}" for name, path in directories.items()],
            *[f"--opt={name}={value}" for name, value in options.items()],
            f"--oci-layout=images={self.images.directory}",
            f"--output=type=oci,tar=false,dest={output}",
        ]

    def failure(self, errors: str) -> str:
        return after_last("error: failed to solve: ", errors)


@dataclass(frozen=True)
class Buildx(Builder):
    """Docker's client for BuildKit, with the builder that is selected."""

    def command(self, case: Prepared, output: Path) -> list[str]:
        images = {name: f"oci-layout://{self.images.directory}@{self.images.digest(name)}" for name in IMAGES}
        return [
            *["docker", "buildx", "build", "--progress=plain", "--provenance=false", "--sbom=false"],
            *common_flags(case, images),
            f"--output=type=oci,tar=false,dest={output}",
            str(case.context),
        ]

    def failure(self, errors: str) -> str:
        return after_last("ERROR: failed to build: failed to solve: ", errors)


@dataclass(frozen=True)
class Onlay(Builder):
    """The program under test."""

    program: str = "onlay"
    run: str = "auto"  # how RUN lines are carried out

    def command(self, case: Prepared, output: Path) -> list[str]:
        images = {name: f"oci-layout://{self.images.directory}:{name}" for name in IMAGES}
        return [
            *[self.program, "build", "--quiet", f"--run={self.run}", *common_flags(case, images)],
            *["--tag", f"oci:{output}:result", str(case.context)],
        ]

    def failure(self, errors: str) -> str:
        return after_last("error: ", errors)


def common_flags(case: Prepared, images: dict[str, str]) -> list[str]:
    """The flags that `docker buildx build` and `onlay build` share."""
    contexts = images | {name: str(path) for name, path in case.contexts.items()}
    target = ["--target", case.case.target] if case.case.target else []
    return [
        *["--file", str(case.dockerfile), "--platform", case.case.platform, *target],
        *[word for name, value in case.build_args.items() for word in ("--build-arg", f"{name}={value}")],
        *[word for name, source in contexts.items() for word in ("--build-context", f"{name}={source}")],
    ]


def find_builder(images: Layout) -> Builder:
    """BuildKit as it is installed here; Docker's legacy builder is refused, and so is one that writes no layouts."""
    if "BUILDKIT_HOST" in os.environ and shutil.which("buildctl"):
        return buildctl(images)
    if shutil.which("docker") and succeeds(["docker", "buildx", "version"]):
        return buildx(images)
    if shutil.which("docker"):
        raise SystemExit(
            "error: this `docker` has no buildx, so it builds with Docker's legacy builder or a BuildKit of before "
            "2023, which lack most of the language\n"
            "hint: install docker-buildx-plugin, or set BUILDKIT_HOST to a running buildkitd with buildctl in PATH"
        )
    raise SystemExit(
        "error: neither `docker` nor `buildctl` with BUILDKIT_HOST is there\n"
        "hint: --recorded compares with what was recorded from BuildKit"
    )


def buildctl(images: Layout) -> Buildctl:
    info = output_of(["buildctl", "debug", "info"])
    version = field("BuildKit", info.replace("github.com/moby/buildkit ", ""))
    return Buildctl(images, f"BuildKit {version} through buildctl", language_of(version, field("Dockerfile", info)))


def buildx(images: Layout) -> Buildx:
    """The builder that is selected."""
    inspected = output_of(["docker", "buildx", "inspect", "--bootstrap"])
    version = field("BuildKit(?: version)?", inspected)
    if field("Driver", inspected) == "docker" and "io.containerd.snapshotter" not in output_of(["docker", "info"]):
        raise SystemExit(
            f"error: the selected builder is the BuildKit {version} in Docker's daemon, which writes no OCI layouts\n"
            "hint: docker buildx create --use --driver docker-container --driver-opt network=host"
        )
    return Buildx(images, f"BuildKit {version} through docker buildx", language_of(version, ""))


def language_of(version: str, language: str) -> tuple[int, int]:
    """The version of the Dockerfile language that a BuildKit carries, which only recent ones tell.

    BuildKit 0.12 came with 1.6, and each one after with the next.
    """
    if told := re.match(r"(\d+)\.(\d+)", language):
        return int(told[1]), int(told[2])
    if (release := re.match(r"v?0\.(\d+)\.", version)) and int(release[1]) >= 12:
        return 1, int(release[1]) - 6
    raise SystemExit(f"error: BuildKit {version} is of before 0.12, or does not tell its version")


def field(name: str, text: str) -> str:
    """The value of a line `name: value`; empty if there is none."""
    found = re.search(rf"^\s*{name}:[ \t]*(\S*)", text, re.MULTILINE)
    return found.group(1) if found else ""


def succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def output_of(command: list[str]) -> str:
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"error: `{' '.join(command)}` failed\n{run.stderr}")
    return run.stdout


def after_last(marker: str, text: str) -> str:
    """The first line after the last `marker`, or the last line."""
    if marker in text:
        return text.rpartition(marker)[2].splitlines()[0]
    return (text.strip().splitlines() or ["(no message)"])[-1]


def environment() -> dict[str, str]:
    """The environment without what would set the time of the build or a user's cache."""
    ours = ("SOURCE_DATE_EPOCH", "ONLAY_CACHE_DIR")
    return {name: value for name, value in os.environ.items() if name not in ours}
