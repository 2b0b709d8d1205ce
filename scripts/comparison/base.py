"""The images that the cases build on, as one OCI layout: the same bytes wherever busybox is the same.

`base` has what breaks careless builders: links for /bin and /lib, a 1777 /tmp, directories of other owners, hard
links, links that dangle, escape or loop, and a deletion. It really runs: its commands are a static busybox.
`other` is for COPY --from, `configured` has every field of the configuration set, `onbuild` has triggers.
"""

import gzip
import hashlib
import io
import json
import shutil
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

from .image import Json

MTIME = 946684799  # 1999-12-31T23:59:59Z
CREATED = "2000-01-01T00:00:00Z"
COMMANDS = "cat chgrp chmod chown cp echo env false ln ls mkdir mkfifo mv pwd rm rmdir sh test touch true".split()
CAPABILITY = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"
GROUP = b"root:x:0:\nweb:x:34:\nstaff:x:50:app\napp:x:1001:\n"


@dataclass(frozen=True)
class Member:
    """A member of a layer: `line` is its kind, mode and owner (`d 0755 0:0`), then what the kind has."""

    path: str
    line: str
    content: bytes = b""
    link: str = ""
    capability: bytes = b""

    def info(self) -> tarfile.TarInfo:
        kind, mode, owner = self.line.split()
        info = tarfile.TarInfo(self.path)
        info.type = {"d": tarfile.DIRTYPE, "f": tarfile.REGTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}[kind]
        info.mode, info.mtime, info.linkname, info.size = int(mode, 8), MTIME, self.link, len(self.content)
        info.uid, info.gid = map(int, owner.split(":"))
        if self.capability:
            info.pax_headers = {"SCHILY.xattr.security.capability": self.capability.decode()}
        return info


def directory(path: str, mode: int = 0o755, owner: str = "0:0") -> Member:
    return Member(path, f"d {mode:04o} {owner}")


def file(path: str, content: bytes, mode: int = 0o644, owner: str = "0:0", capability: bytes = b"") -> Member:
    return Member(path, f"f {mode:04o} {owner}", content, capability=capability)


def link(path: str, target: str) -> Member:
    return Member(path, "l 0777 0:0", link=target)


def hard_link(path: str, target: str, mode: int = 0o644, owner: str = "0:0") -> Member:
    return Member(path, f"h {mode:04o} {owner}", link=target)


def system_layer(busybox: bytes) -> list[Member]:
    return [
        link("bin", "usr/bin"),
        directory("dev"),
        directory("etc"),
        file("etc/group", GROUP),
        file("etc/motd", b"welcome\n"),
        file("etc/passwd", PASSWD),
        directory("home"),
        directory("home/app", 0o750, "1000:1001"),
        link("lib", "usr/lib"),
        directory("proc", 0o555),
        directory("root", 0o700),
        link("sbin", "/usr/sbin"),
        directory("sys", 0o555),
        directory("tmp", 0o1777),
        directory("usr"),
        directory("usr/bin"),
        file("usr/bin/busybox", busybox, 0o755),
        *[link(f"usr/bin/{command}", "busybox") for command in COMMANDS],
        directory("usr/lib"),
        directory("usr/sbin"),
    ]


def data_layer() -> list[Member]:
    return [
        directory("data"),
        directory("data/gone"),
        file("data/gone/file", b"gone\n"),
        file("data/old", b"old\n", 0o600, "5:6"),
        directory("data/sub", 0o2775, "7:8"),
        file("data/sub/kept", b"kept\n", 0o640, "7:8"),
        directory("opt"),
        directory("opt/owned", 0o750, "1000:1001"),
        directory("opt/pair"),
        file("opt/pair/a", b"pair\n", 0o604, "9:9"),
        hard_link("opt/pair/b", "opt/pair/a", 0o604, "9:9"),
        directory("srv"),
        link("srv/dangling", "/made/by/link"),
        link("srv/escape", "../../../../outside"),
        link("srv/link-to-dir", "/data"),
        link("srv/link-to-file", "../etc/motd"),
        link("srv/loop-a", "loop-b"),
        link("srv/loop-b", "loop-a"),
    ]


def changes_layer() -> list[Member]:
    return [directory("data"), file("data/.wh.gone", b"", 0), file("data/new", b"new\n")]


def other_layer() -> list[Member]:
    return [
        directory("etc"),
        file("etc/passwd", b"root:x:0:0::/:/bin/sh\nelse:x:77:78::/:/bin/sh\n"),
        directory("pick", 0o2750, "12:34"),
        file("pick/able", b"able\n", 0o755, capability=CAPABILITY),
        file("pick/first", b"linked\n", 0o640, "12:34"),
        directory("pick/inner", 0o1770, "56:78"),
        file("pick/inner/file", b"inner\n", 0o604, "56:78"),
        link("pick/link", "inner/file"),
        hard_link("pick/second", "pick/first", 0o640, "12:34"),
        file("pick/tool", b"tool\n", 0o4755, "12:34"),
    ]


CONFIGURED = {
    "User": "app",
    "ExposedPorts": {"80/tcp": {}},
    "Env": ["LANG=C", "A=from the image"],
    "Entrypoint": ["/entry"],
    "Cmd": ["one", "two"],
    "Volumes": {"/data": {}},
    "WorkingDir": "/srv",
    "Labels": {"maker": "someone", "version": "1"},
    "StopSignal": "SIGUSR1",
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5000000000},
    "Shell": ["/bin/sh", "-ec"],
}

TRIGGERS = [
    "ARG FROM_ARG=default",
    "ENV FROM_TRIGGER=${FROM_ARG}",
    "COPY --chown=app input /triggered/",
    "RUN mkdir /triggered/$FROM_TRIGGER",
]


def tar(members: list[Member]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            archive.addfile(member.info(), io.BytesIO(member.content))
    return buffer.getvalue()


@dataclass(frozen=True)
class Writer:
    """An OCI layout in the making."""

    root: Path

    def blob(self, content: bytes, media_type: str) -> Json:
        encoded = hashlib.sha256(content).hexdigest()
        path = self.root / "blobs" / "sha256" / encoded
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(content)}

    def image(self, layers: list[list[Member]], config: Json, architecture: str) -> Json:
        tars = [tar(members) for members in layers]
        configuration = {
            "architecture": architecture,
            "config": config,
            "created": CREATED,
            "history": [{"created": CREATED, "created_by": f"layer {number}"} for number in range(len(tars))]
            + [{"created": CREATED, "created_by": 'CMD ["sh"]', "empty_layer": True}],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in tars]},
        }
        layer_type = "application/vnd.oci.image.layer.v1.tar+gzip"
        manifest: Json = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.json(configuration, "application/vnd.oci.image.config.v1+json"),
            "layers": [self.blob(gzip.compress(one, mtime=0), layer_type) for one in tars],
        }
        descriptor = self.json(manifest, manifest["mediaType"])
        return {**descriptor, "platform": {"architecture": architecture, "os": "linux"}}

    def index(self, layers: list[list[Member]], config: Json) -> Json:
        media_type = "application/vnd.oci.image.index.v1+json"
        manifests = [self.image(layers, config, architecture) for architecture in ("amd64", "arm64")]
        return self.json({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}, media_type)

    def json(self, value: Json, media_type: str) -> Json:
        return self.blob(json.dumps(value, separators=(",", ":")).encode(), media_type)

    def finish(self, tagged: dict[str, Json]) -> None:
        (self.root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        entries = [
            {**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}}
            for tag, descriptor in tagged.items()
        ]
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def busybox() -> bytes:
    """A static busybox of this machine, such as Debian's busybox-static has."""
    found = shutil.which("busybox")
    if found is None:
        raise SystemExit("error: no busybox in PATH, which the base image runs; install busybox-static")
    content = Path(found).read_bytes()
    if not stat.S_ISREG(Path(found).stat().st_mode) or b"/ld-linux" in content[:4096]:
        raise SystemExit(f"error: `{found}` is not a static busybox; install busybox-static")
    return content


def write_images(root: Path) -> None:
    """Writes the four images as an OCI layout."""
    writer = Writer(root)
    layers = [system_layer(busybox()), data_layer(), changes_layer()]
    config = {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["sh"], "WorkingDir": "/"}
    writer.finish(
        {
            "base": writer.index(layers, config),
            "other": writer.index([other_layer()], {"Env": ["OTHER=1"]}),
            "configured": writer.index([[directory("etc"), file("etc/passwd", PASSWD)]], CONFIGURED),
            "onbuild": writer.index(layers, {**config, "OnBuild": TRIGGERS}),
        }
    )
