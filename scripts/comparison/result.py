"""What is compared of an image, as plain data: `expected.json` holds it as BuildKit made it."""

import json
from typing import Iterator

from .cases import SET_TIMES_END
from .image import Image, Json

def result_of(image: Image, base: Image, servers: dict[str, str]) -> Json:
    """An image as what it changes of `base`, if it begins with the layers of `base`; else the whole image."""
    diff_ids = base.diff_ids
    on_base = image.diff_ids[: len(diff_ids)] == diff_ids
    before = base.tree.lines() if on_base else {}
    after = image.tree.lines()
    changed = {path: line for path, line in after.items() if before.get(path) != line}
    times = times_of(image)
    times_before = times_of(base) if on_base else {}
    configuration = {key: image.configuration[key] for key in sorted(image.configuration) if key not in UNCOMPARED}
    result = {
        "base": on_base,
        "tree": changed,
        "removed": sorted(before.keys() - after.keys()),
        "times": {path: time for path, time in times.items() if path in changed or times_before.get(path) != time},
        "configuration": configuration,
        "history": [history_entry(entry) for entry in image.configuration.get("history") or []],
    }
    return without_addresses(result, servers)


def without_addresses(result: Json, servers: dict[str, str]) -> Json:
    """The servers have other ports in each run."""
    text = json.dumps(result)
    for name, address in servers.items():
        text = text.replace(address, name)
    return json.loads(text)


# `created` is the time of the build; the other two are compared in their own way.
UNCOMPARED = ("created", "history", "rootfs")


def times_of(image: Image) -> dict[str, int]:
    """When files were changed that were not changed by the build.

    Without directories, which change with what is in them, and which onlay writes again with a constant time where
    an engine would reset them if they were left out; without links, whose times nothing reads.
    """
    files = image.tree.files.items()
    return {path: file.mtime for path, file in files if file.mtime < SET_TIMES_END and file.kind not in "dl"}


def history_entry(entry: Json) -> Json:
    return {key: value for key, value in entry.items() if key != "created"}


def differences(expected: Json, found: Json) -> dict[str, str]:
    """What differs: a name for each place, and how it differs."""
    return dict(_differences(expected, found))


def _differences(expected: Json, found: Json) -> Iterator[tuple[str, str]]:
    if "failure" in expected or "failure" in found:
        if ("failure" in expected) != ("failure" in found):
            yield "failure", two_lines(expected.get("failure", "(builds)"), found.get("failure", "(builds)"))
        return
    yield from different_files(expected, found)
    for path, time in expected["times"].items():
        if found["times"].get(path) != time:
            yield f"time {path}", two_lines(time, found["times"].get(path, "(of the base, or of the build)"))
    yield from different_fields("", expected["configuration"], found["configuration"])
    yield from different_history(expected["history"], found["history"])


def different_files(expected: Json, found: Json) -> Iterator[tuple[str, str]]:
    if expected["base"] != found["base"]:
        yield "base layers", two_lines(expected["base"], found["base"])
    left, right = by_path(expected), by_path(found)
    for path in sorted(left.keys() | right.keys()):
        if left.get(path) != right.get(path):
            yield f"file {path}", two_lines(left.get(path, "(as in the base)"), right.get(path, "(as in the base)"))


def by_path(result: Json) -> dict[str, str]:
    return result["tree"] | {path: "(removed)" for path in result["removed"]}


def different_fields(prefix: str, expected: Json, found: Json) -> Iterator[tuple[str, str]]:
    for key in sorted(expected.keys() | found.keys()):
        left, right = expected.get(key), found.get(key)
        if isinstance(left, dict) and isinstance(right, dict) and key == "config":
            yield from different_fields("config.", left, right)
        elif left != right:
            yield f"{prefix}{key}", two_lines(json.dumps(left), json.dumps(right))


def different_history(expected: list[Json], found: list[Json]) -> Iterator[tuple[str, str]]:
    for number in range(max(len(expected), len(found))):
        left = json.dumps(expected[number], sort_keys=True) if number < len(expected) else "(none)"
        right = json.dumps(found[number], sort_keys=True) if number < len(found) else "(none)"
        if left != right:
            yield f"history {number}", two_lines(left, right)


def two_lines(expected: object, found: object) -> str:
    return f"    - {expected}\n    + {found}"
