"""An image read from an OCI layout: its configuration, and its layers merged into one tree."""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Iterator

Json = dict[str, Any]

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
XATTR = "SCHILY.xattr."
# Of all extended attributes only this one is carried by BuildKit's layers.
CAPABILITY = "security.capability"
INDEX_TYPES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


@dataclass(frozen=True)
class File:
    """One file of a merged tree."""

    kind: str  # d, f, l, p, c or b
    mode: int
    uid: int
    gid: int
    mtime: int
    detail: str = ""  # the size and digest, the target of a link, the numbers of a device
    capability: bytes = b""
    inode: int = 0  # the same for all names of a file

    def line(self, first_name: str | None) -> str:
        """All but the path and the time; the first of several names is `first_name`."""
        group = f" = {first_name}" if first_name is not None else ""
        capability = f" {CAPABILITY}={escape(self.capability)}" if self.capability else ""
        return f"{self.kind} {self.mode:04o} {self.uid}:{self.gid}{self.detail}{group}{capability}"


@dataclass
class Tree:
    """The files of an image by path, without a slash at either end."""

    files: dict[str, File] = field(default_factory=dict)
    inodes: int = 0

    def apply(self, layer: tarfile.TarFile) -> None:
        """Lays one layer on the tree: its whiteouts first, wherever they stand, then its files."""
        members = [(member, member.name.removeprefix("./").strip("/")) for member in layer.getmembers()]
        for _, path in members:
            if base_name(path).startswith(WHITEOUT):
                self._hide(path)
        for member, path in members:
            if not base_name(path).startswith(WHITEOUT):
                self._add(layer, member, path)

    def lines(self) -> dict[str, str]:
        """One line for each path, in the order of paths."""
        names: dict[int, list[str]] = {}
        for path in sorted(self.files):
            names.setdefault(self.files[path].inode, []).append(path)
        return {path: self._line(path, names) for path in sorted(self.files)}

    def _line(self, path: str, names: dict[int, list[str]]) -> str:
        file = self.files[path]
        shared = names[file.inode]
        return file.line(shared[0] if len(shared) > 1 else None)

    def _hide(self, path: str) -> None:
        directory, name = parent_of(path), base_name(path)
        if name == OPAQUE:
            self._remove_below(directory)
            return
        hidden = join(directory, name.removeprefix(WHITEOUT))
        self.files.pop(hidden, None)
        self._remove_below(hidden)

    def _add(self, layer: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        self._make_parents(path)
        if member.islnk():
            self._put(path, self.files[member.linkname.removeprefix("./").strip("/")])
        else:
            self._put(path, self._numbered(file_of(layer, member)))

    def _put(self, path: str, file: File) -> None:
        if file.kind != "d":
            self._remove_below(path)
        self.files[path] = file

    def _make_parents(self, path: str) -> None:
        parent = parent_of(path)
        if not parent or (parent in self.files and self.files[parent].kind == "d"):
            return
        self._make_parents(parent)
        self._put(parent, self._numbered(File("d", 0o755, 0, 0, 0)))

    def _numbered(self, file: File) -> File:
        self.inodes += 1
        return replace(file, inode=self.inodes)

    def _remove_below(self, directory: str) -> None:
        prefix = directory + "/" if directory else ""
        for path in [path for path in self.files if path.startswith(prefix) and path != directory]:
            del self.files[path]


@dataclass(frozen=True)
class Image:
    """An image with its layers merged."""

    tree: Tree
    configuration: Json
    diff_ids: list[str]


@dataclass(frozen=True)
class Layout:
    """An OCI layout."""

    directory: Path

    def digest(self, tag: str | None = None) -> str:
        """The digest of the entry with this tag, or of the only entry."""
        entries = json.loads((self.directory / "index.json").read_bytes())["manifests"]
        if tag is not None:
            entries = [entry for entry in entries if entry["annotations"]["org.opencontainers.image.ref.name"] == tag]
        (entry,) = entries
        return entry["digest"]

    def image(self, digest: str, architecture: str = "amd64") -> Image:
        """The image with this digest; of an index, the one for `architecture`."""
        manifest = self._manifest(digest, architecture)
        configuration = self._json(manifest["config"]["digest"])
        tree = Tree()
        for layer in manifest["layers"] or []:
            tree.apply(self._layer(layer["digest"]))
        return Image(tree, configuration, configuration.get("rootfs", {}).get("diff_ids") or [])

    def _manifest(self, digest: str, architecture: str) -> Json:
        manifest = self._json(digest)
        if manifest.get("mediaType") not in INDEX_TYPES:
            return manifest
        children = [child["digest"] for child in manifest["manifests"] if is_for(child, architecture)]
        return self._manifest(children[0], architecture)

    def _layer(self, digest: str) -> tarfile.TarFile:
        blob = self.blob(digest)
        return tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob)), mode="r:")

    def _json(self, digest: str) -> Json:
        return json.loads(self.blob(digest))

    def blob(self, digest: str) -> bytes:
        """The bytes with this digest, which is checked."""
        algorithm, encoded = digest.split(":")
        content = (self.directory / "blobs" / algorithm / encoded).read_bytes()
        if hashlib.new(algorithm, content).hexdigest() != encoded:
            raise ValueError(f"{self.directory}: the blob {digest} has other content")
        return content


def is_for(descriptor: Json, architecture: str) -> bool:
    return descriptor.get("platform", {}).get("architecture", architecture) == architecture


def file_of(layer: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    kind, detail = kind_of(layer, member)
    return File(
        kind,
        member.mode & 0o7777,
        member.uid,
        member.gid,
        int(member.mtime),
        detail,
        member.pax_headers.get(XATTR + CAPABILITY, "").encode("utf-8", "surrogateescape"),
    )


def kind_of(layer: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[str, str]:
    """The letter of a kind of file, and what only files of this kind have."""
    if member.isdir():
        return "d", ""
    if member.issym():
        return "l", f" -> {member.linkname}"
    if member.isfifo():
        return "p", ""
    if member.ischr() or member.isblk():
        return "c" if member.ischr() else "b", f" {member.devmajor},{member.devminor}"
    content = layer.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name}: a kind of file that images do not have: {member.type!r}")
    digest = hashlib.sha256(content.read()).hexdigest()
    return "f", f" {member.size} {digest[:12]}"


def escape(value: bytes) -> str:
    """Bytes as text, as Rust's `escape_ascii` writes them."""
    special = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x27: "\\'", 0x5C: "\\\\"}
    plain = range(0x20, 0x7F)
    return "".join(special.get(byte, chr(byte) if byte in plain else f"\\x{byte:02x}") for byte in value)


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


def base_name(path: str) -> str:
    return path.rpartition("/")[2]


def join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def ancestors(path: str) -> Iterator[str]:
    while path := parent_of(path):
        yield path
