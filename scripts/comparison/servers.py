"""What cases download from, on loopback: a web server and a git server."""

import contextlib
import functools
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Iterator

# Who made the commits, and when: with these the same files have the same commit everywhere.
COMMITTER = {"NAME": "Somebody", "EMAIL": "somebody@example.com", "DATE": "2001-02-03T04:05:06Z"}
# How long `git daemon` may take to listen.
PATIENCE_SECONDS = 10


@contextlib.contextmanager
def web_server(directory: Path) -> Iterator[str]:
    """Serves files, and gives the address."""
    handler = functools.partial(QuietHandler, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files with one time, since git keeps none; those below `dateless` with none at all."""

    def log_message(self, *_: object) -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Last-Modified":
            super().send_header(keyword, value)
        elif not self.path.startswith("/dateless/"):
            super().send_header(keyword, "Sat, 03 Feb 2001 04:05:06 GMT")


@contextlib.contextmanager
def git_server(directory: Path) -> Iterator[str]:
    """Makes `repository.git` in a directory, serves it, and gives the address."""
    shutil.rmtree(directory, ignore_errors=True)
    make_repository(directory / "work", directory / "repository.git")
    port = free_port()
    options = ["--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", f"--base-path={directory}"]
    # Without a shell or git in between, so that it is this process that is ended.
    program = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip()) / "git-daemon"
    with subprocess.Popen([program, *options], stderr=subprocess.DEVNULL) as daemon:
        try:
            wait_for(port)
            yield f"git://127.0.0.1:{port}"
        finally:
            daemon.terminate()


def make_repository(work: Path, repository: Path) -> None:
    """A repository with a branch `main`, a branch `other` that is one commit behind, and a tag `v1` on that commit."""
    work.mkdir(parents=True)
    git(work, "init", "--quiet", "--initial-branch=main")
    (work / "sub" / "deep").mkdir(parents=True)
    (work / "README").write_text("first\n")
    (work / "sub" / "deep" / "file").write_text("deep\n")
    tool = work / "sub" / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    (work / "link").symlink_to("sub/tool")
    commit(work, "first")
    git(work, "branch", "other")
    git(work, "tag", "v1")
    (work / "README").write_text("second\n")
    (work / ".hidden").write_text("hidden\n")
    commit(work, "second")
    git(work, "clone", "--quiet", "--bare", str(work), str(repository))


def commit(work: Path, message: str) -> None:
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--no-gpg-sign", "--message", message)


def git(directory: Path, *arguments: str) -> None:
    """Runs git, without the settings of who runs it."""
    made_by = {f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER") for name, value in COMMITTER.items()}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *arguments], cwd=directory, env={**os.environ, **settings, **made_by}, check=True)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise SystemExit("error: `git daemon` does not listen") from None
            time.sleep(0.05)
