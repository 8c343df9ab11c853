"""A Dockerfile carried out without Docker, as far as this machine's own Debian and Python can stand
in for the base image's: each stage over a copy-on-write view of this machine's root, and what is
made of it run as PID 1 of its own namespaces, with a root that is read-only, as a user without any
right. Takes root on Linux.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LONG = 300  # seconds after which what hangs is given up
BASE = Path(sys.base_prefix)  # the Python that stands in for the base image's
PATH = f"{BASE}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TMPFS = "size=1g"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a Dockerfile says from one FROM to the next: ``base``, ``name``, and its instructions,
    each with the rest of its line."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """What is said with each instruction of that name."""
        return [text for name, text in self.instructions if name == instruction]

    def last(self, instruction: str) -> str:
        return self.all(instruction)[-1]

    def words(self, instruction: str) -> list[str]:
        """The command of ENTRYPOINT, CMD or HEALTHCHECK in its exec form."""
        text = self.last(instruction)
        words: list[str] = json.loads(text[text.index("[") :])
        return words


def stages(dockerfile: Path) -> list[Stage]:
    """The stages of a Dockerfile, comments left out and lines joined."""
    lines = dockerfile.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            base, _, stage = rest.partition(" AS ")
            found.append(Stage(base, stage))
        elif name:
            found[-1].instructions.append((name, rest.strip()))
    return found


def ignored(path: str, patterns: Sequence[str]) -> bool:
    """Whether a .dockerignore leaves a file out: the last pattern decides that matches it, or a
    folder that it is in."""
    parts = path.split("/")
    above = ["/".join(parts[: at + 1]) for at in range(len(parts))]
    out = False
    for pattern in patterns:
        expression = re.escape(pattern.removeprefix("!"))
        for written, meant in ((r"\*\*/", "(.*/)?"), (r"\*", "[^/]*"), (r"\[", "["), (r"\]", "]")):
            expression = expression.replace(written, meant)
        if any(re.fullmatch(expression, one) for one in above):
            out = not pattern.startswith("!")
    return out


def context(root: Path, out: Path) -> Path:
    """A folder with what is sent to be built from: ``root`` without what is ignored."""
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    tracked = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(tracked, check=True, capture_output=True, text=True).stdout
    for path in listed.splitlines():
        if (root / path).is_file() and not ignored(path, patterns):
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path, out / path)
    return out


class Image:
    """What was built: a root folder, and the last stage, which says how it is run."""

    def __init__(self, root: Path, stage: Stage) -> None:
        self.root = root
        self.stage = stage
        self.environment = {"PATH": PATH}
        for line in stage.all("ENV"):
            set_in(self.environment, line)

    @property
    def command(self) -> list[str]:
        """What is run where nothing else is asked for."""
        return [*self.stage.words("ENTRYPOINT"), *self.stage.words("CMD")]

    def start(
        self, *words: str, volume: Path, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Run it with these words in place of its own, ``volume`` being its /data, and the rest
        read-only but for /tmp. A new volume is given what the image has there."""
        if not volume.exists():
            shutil.copytree(self.root / "data", volume)
            for path in (volume, *volume.rglob("*")):
                shutil.chown(path, *map(int, self.stage.last("USER").split(":")))
        at = self.root
        script = f"""set -e
            mount -t proc proc {at}/proc
            mount --rbind /dev {at}/dev
            mount -t tmpfs tmpfs {at}/tmp
            mount --bind {volume} {at}/data
            mount -o remount,bind,ro {at}
            ip link set lo up
            exec chroot {at} sh -c 'cd {self.stage.last("WORKDIR")} && exec "$@"' sh "$@"
            """
        entered = [*self._as_user(environment), *self.stage.words("ENTRYPOINT"), *words]
        return subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net",
             "sh", "-c", script, "sh", *entered],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str, volume: Path) -> "subprocess.CompletedProcess[bytes]":
        process = self.start(*words, volume=volume)
        out, err = process.communicate(timeout=LONG)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def inside(
        self, process: "subprocess.Popen[bytes]", *words: str
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run words beside what runs there, as ``docker exec`` and health checks do."""
        return subprocess.run(
            ["nsenter", "--target", str(first(process)), "--mount", "--pid", "--net", "--root",
             "--wd", *self._as_user(None), *words],
            capture_output=True, timeout=LONG,
        )  # fmt: skip

    def _as_user(self, environment: Mapping[str, str] | None) -> list[str]:
        uid, gid = self.stage.last("USER").split(":")
        values = {**self.environment, **(environment or {})}
        return [
            "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs",
            "--bounding-set=-all", "--inh-caps=-all",
            "env", "-i", *(f"{name}={value}" for name, value in values.items()),
        ]  # fmt: skip


def first(process: "subprocess.Popen[bytes]") -> int:
    """The process that is PID 1 in there."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + LONG
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(found[0])


def set_in(environment: dict[str, str], line: str) -> None:
    """Set what an ENV instruction sets."""
    for pair in line.split():
        name, _, value = pair.partition("=")
        for known, text in environment.items():
            value = value.replace(f"${known}", text)
        environment[name] = value


@contextmanager
def built(root: Path, folder: Path) -> Iterator[Image]:
    """What the Dockerfile in ``root`` makes; ``folder`` is a new one, for what that takes."""
    made: dict[str, Path] = {}
    sent = context(root, folder / "context")
    with ExitStack() as mounted:
        for number, stage in enumerate(stages(root / "Dockerfile")):
            at = mounted.enter_context(_view(folder / f"stage-{number}"))
            made[stage.name] = at
            _carry_out(stage, at, sent, made)
        yield Image(at, stage)


@contextmanager
def _view(folder: Path) -> Iterator[Path]:
    """This machine's root, in which changes are kept apart."""
    upper, at = folder / "changes", folder / "root"
    for one in (upper, at):
        one.mkdir(parents=True)
    with ExitStack() as mounted:
        _mount(mounted, "-t", "tmpfs", "-o", TMPFS, "tmpfs", upper)
        (upper / "up").mkdir()
        (upper / "work").mkdir()
        options = f"lowerdir=/,upperdir={upper / 'up'},workdir={upper / 'work'}"
        _mount(mounted, "-t", "overlay", "-o", options, "overlay", at)
        for name in ("proc", "dev", "tmp"):
            (at / name).mkdir(exist_ok=True)
        (at / "tmp").chmod(0o1777)
        for above in (BASE, *BASE.parents):  # a base image's Python is everybody's
            path = at / above.relative_to("/")
            path.chmod(path.stat().st_mode | 0o555)
        yield at


def _mount(mounted: ExitStack, *words: object) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)
    mounted.callback(subprocess.run, ["umount", "--lazy", str(words[-1])], check=True)


def _carry_out(stage: Stage, at: Path, sent: Path, made: Mapping[str, Path]) -> None:
    environment, arguments, where = {"PATH": PATH}, dict[str, str](), Path("/")
    for name, text in stage.instructions:
        if name == "ARG":
            set_in(arguments, text)
        elif name == "ENV":
            set_in(environment, text)
        elif name == "WORKDIR":
            where = Path(text)
            (at / where.relative_to("/")).mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            _copy(text.split(), at, where, sent, made)
        elif name == "RUN":
            script = 'mount --rbind /dev "$0/dev" && exec chroot "$0" sh -ec "cd $1 && $2"'
            # What pip fetched before need not be fetched again.
            values = {**os.environ, **arguments, **environment, "PIP_NO_CACHE_DIR": ""}
            subprocess.run(
                ["unshare", "--mount", "sh", "-c", script, str(at), str(where), text],
                env=values,
                check=True,
            )


def _copy(words: list[str], at: Path, where: Path, sent: Path, made: Mapping[str, Path]) -> None:
    source = sent
    if words[0].startswith("--from="):
        source = made[words.pop(0).removeprefix("--from=")]
    *paths, target = words
    to = at / (where / target).relative_to("/")
    for path in paths:
        found = source / path.removeprefix("/")
        if found.is_dir():
            shutil.copytree(found, to, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(found, to / Path(path).name if target.endswith("/") else to)
