"""The sender: a machine of its own with a real Postfix.

Owns the machine's root (a system of Debian underneath, everything changed on a
file system in memory on top), its namespaces, its Postfix and its log. Must
not know what a world expects.
"""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .cage import LabError, shell
from .waiting import until
from .world import DOMAIN, HERE, HOST_NAME, NAMED_IPV4, SENDER_IPV4, SenderSettings

# Where the program under test stands inside the sender.
MAILFIX = "/usr/local/bin/mailfix"
USER = "alice"

# What of the installed package belongs into a configuration directory that
# nobody has configured yet; main.cf and the operator's own files do not.
PACKAGE_FILES = [
    "dynamicmaps.cf", "dynamicmaps.cf.d", "main.cf.proto", "makedefs.out", "master.cf.proto",
    "post-install", "postfix-files", "postfix-files.d", "postfix-script", "sasl",
]  # fmt: skip

# Debian's script that fills the jail, run by its unit and init script; from 3.10 on the
# second one, which every start and reload goes through, runs it.
FILL_JAIL = "/usr/lib/postfix/configure-instance.sh"
POST_INSTALL = "/usr/lib/postfix/sbin/post-install"

# Programs of master.cf that no release of Debian chroots.
NEVER_CHROOTED = ["local", "pipe", "postlogd", "proxymap", "qmgr", "virtual"]

# Directories of the system underneath of which nothing must show through, and their modes.
EMPTY = {
    "home": 0o755,
    "run": 0o755,
    "tmp": 0o1777,
    "var/log": 0o755,
    "var/mail": 0o1777,
}
# Those and what else the sender does not have, unless it has Postfix's files as shipped.
EMPTY_OF_POSTFIX = {"etc/postfix": 0o755, "var/lib/postfix": 0o755, "var/spool/postfix": 0o755}
ABSENT_OF_POSTFIX = ["etc/aliases", "etc/aliases.db"]
ABSENT = ["Library", "etc/mailfix", "var/lib/mailfix"]

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}

COMMAND_SECONDS = 60

# Sends standard input from this host to its own Postfix.
OVER_SMTP = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25, "localhost", 30) as wire:
    wire.sendmail(sys.argv[1], sys.argv[2], sys.stdin.buffer.read())
"""


@dataclass(frozen=True)
class Done:
    """What a command in the sender came to."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Node:
    """One file, directory or symbolic link as it was found."""

    mode: int
    uid: int
    gid: int
    content: bytes
    attributes: tuple[tuple[str, bytes], ...]
    modified: int


class Sender:
    """The machine; `start` builds it and starts its Postfix."""

    def __init__(self, settings: SenderSettings, lower: Path, ground: Path, mailfix: Path | None) -> None:
        self.settings = settings
        self._lower = lower
        self.root = ground / "root"
        self._layers = ground / "layers"
        self._mailfix = mailfix
        self._init: subprocess.Popen[str] | None = None
        self._pid = 0
        self.directory = settings.config_directory

    def start(self) -> None:
        """Builds the machine and, unless the world wants it stopped, starts Postfix."""
        self._build_root()
        self._boot()
        self._configure()
        for command in self.settings.commands:
            done = self.run(command)
            if done.status != 0:
                raise LabError(f"preparing the sender: {command} ended with {done.status}: {done.stderr}")
        if self.settings.filled_jail:
            self._fill_jail()
        if self.settings.started and self.settings.shipped:
            self._must(["/etc/init.d/postfix", "start"])
            until("Postfix to listen", _listens)
        elif self.settings.started:
            self.postfix("start")

    # The machine ------------------------------------------------------------

    def _build_root(self) -> None:
        upper, work = self._layers / "upper", self._layers / "work"
        for directory in (upper, work, self.root):
            directory.mkdir(parents=True)
        shipped = self.settings.shipped
        for path, mode in (EMPTY if shipped else EMPTY | EMPTY_OF_POSTFIX).items():
            # "opaque": the layer below does not show through (the kernel's overlayfs.rst).
            target = self._layer_directory(upper, path)
            target.chmod(mode)
            os.setxattr(target, "trusted.overlay.opaque", b"y")
        for path in ABSENT if shipped else ABSENT + ABSENT_OF_POSTFIX:
            self._layer_directory(upper, os.path.dirname(path))
            os.mknod(upper / path, stat.S_IFCHR, os.makedev(0, 0))  # a "whiteout"
        layers = f"lowerdir={self._lower},upperdir={upper},workdir={work}"
        shell("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        self._directory("/run/lock").chmod(0o1777)
        self._build_devices()
        for path, text in {
            "/etc/resolv.conf": f"nameserver {NAMED_IPV4}\n",
            "/etc/hostname": f"{HOST_NAME}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{SENDER_IPV4} {HOST_NAME} mail\n",
        }.items():
            self.write(path, text)
        passwd = self.root / "etc/passwd"
        passwd.write_text(passwd.read_text() + f"{USER}:x:4242:8:Alice:/home/{USER}:/bin/sh\n")
        if self._mailfix:
            self.write(MAILFIX, "")
            shell("mount", "--bind", self._mailfix, self.root / MAILFIX.lstrip("/"))

    def _layer_directory(self, layer: Path, path: str) -> Path:
        """Makes a directory of a layer, its parents with the modes they have underneath."""
        target = layer
        for name in Path(path).parts:
            target /= name
            if not target.exists():
                target.mkdir()
                below = self._lower / target.relative_to(layer)
                target.chmod(below.stat().st_mode & 0o7777 if below.is_dir() else 0o755)
        return target

    def _build_devices(self) -> None:
        """Gives the machine a /dev of its own, so that its /dev/log is its own too."""
        devices = self._directory("/dev")
        shell("mount", "-t", "tmpfs", "-o", "mode=0755", "lab-dev", devices)
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            (devices / name).touch()
            shell("mount", "--bind", f"/dev/{name}", devices / name)
        for name in ("pts", "shm"):
            (devices / name).mkdir()
        shell("mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620", "lab-pts", devices / "pts")
        shell("mount", "-t", "tmpfs", "-o", "mode=1777", "lab-shm", devices / "shm")
        links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
        for name, target in links.items():
            (devices / name).symlink_to(target)

    def _boot(self) -> None:
        """Starts process 1 in namespaces of its own and plugs the machine into the bridge."""
        command = ["setpriv", "--pdeathsig", "KILL", "--", "unshare"]
        command += ["--net", "--mount", "--pid", "--uts", "--ipc", "--propagation", "private"]
        command += ["--fork", "--kill-child", f"--mount-proc={self.root}/proc"]
        command += [sys.executable, "-B", str(HERE / "init.py"), str(self.root), HOST_NAME.split(".")[0]]
        # A session of its own: Ctrl-C is for the laboratory, not for the machine.
        self._init = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        assert self._init.stdout is not None
        if self._init.stdout.readline() != "ready\n":
            raise LabError("the sender did not come up")
        unshare = self._init.pid
        self._pid = int(Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()[0])
        shell("ip", "link", "add", "port0", "type", "veth", "peer", "name", "eth0", "netns", self._pid)
        shell("ip", "link", "set", "port0", "master", "br0", "up")
        inside = ["nsenter", f"--target={self._pid}", "--net", "ip"]
        shell(*inside, "link", "set", "lo", "up")
        shell(*inside, "link", "set", "eth0", "up")
        shell(*inside, "address", "add", f"{SENDER_IPV4}/24", "dev", "eth0")
        for address in self.settings.ipv6:
            shell(*inside, "address", "add", f"{address}/64", "dev", "eth0", "nodad")

    def inside(self) -> list[str]:
        """Returns the words to put before a command so that it runs in the machine."""
        namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc", "--root", "--wd"]
        return ["nsenter", f"--target={self._pid}", *namespaces, "--"]

    def run(self, command: list[str], seconds: float = COMMAND_SECONDS) -> Done:
        """Runs a command in the machine, without a terminal."""
        try:
            done = subprocess.run(
                self.inside() + command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=ENVIRONMENT,
                timeout=seconds,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            output = [(text or b"").decode("utf-8", "replace") for text in (error.stdout, error.stderr)]
            return Done(-1, output[0], f"{output[1]}\n(killed after {seconds} s)")
        return Done(done.returncode, done.stdout, done.stderr)

    # Files ------------------------------------------------------------------

    def path(self, path: str) -> Path:
        """Returns where a path of the machine lies for the laboratory."""
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        """Writes a file of the machine, making its directories."""
        self._directory(str(Path(path).parent))
        target = self.path(path)
        if target.is_symlink():
            target.unlink()
        target.write_text(text)

    def tree(self, paths: list[str]) -> dict[str, Node]:
        """Returns everything at and below the paths, byte for byte."""
        found: dict[str, Node] = {}
        for path in paths:
            top = self.path(path)
            if not top.is_symlink() and not top.exists():
                continue
            below = [top, *sorted(top.rglob("*"))] if top.is_dir() else [top]
            for each in below:
                found["/" + str(each.relative_to(self.root))] = _node(each)
        return found

    def _directory(self, path: str) -> Path:
        target = self.path(path)
        target.mkdir(parents=True, exist_ok=True)
        return target

    # Postfix ----------------------------------------------------------------

    def _configure(self) -> None:
        package = self._lower / "etc/postfix"
        self._directory("/etc/postfix")
        for name in [] if self.settings.shipped else PACKAGE_FILES:
            source, target = package / name, self.path(f"/etc/postfix/{name}")
            if source.is_dir() and not source.is_symlink():
                shutil.copytree(source, target, symlinks=True)
            elif source.exists() or source.is_symlink():
                shutil.copy2(source, target, follow_symlinks=False)
        settings = self.settings
        main_cf, master_cf = self._main_cf(), self._master_cf()
        self.write(f"{self.directory}/main.cf", main_cf)
        self.write(f"{self.directory}/master.cf", master_cf)
        for path, text in settings.files.items():
            self.write(path, text)
        self._directory(settings.queue_directory)
        owner = _user_number(self.root, "postfix")
        os.chown(self._directory(settings.data_directory), owner, -1)
        self._directory(f"/home/{USER}")

    def _main_cf(self) -> str:
        defaults = SenderSettings()
        parameters = dict(self.settings.parameters)
        if self.settings.shipped:
            text = (self._lower / "etc/postfix/main.cf").read_text()
        else:
            text = (HERE / "stock/main.cf").read_text()
            parameters.setdefault("compatibility_level", self._compatibility_level())
        for name in ("queue_directory", "data_directory"):
            if getattr(self.settings, name) != getattr(defaults, name):
                parameters.setdefault(name, getattr(self.settings, name))
        for name, value in parameters.items():
            line = "" if value is False else f"{name} = {value}\n"
            # The setting with its continuation lines.
            text, times = re.subn(rf"(?m)^{re.escape(name)} *=.*\n([ \t].*\n)*", lambda _, new=line: new, text)
            if not times:
                text += line
        return text + self.settings.main_cf

    def _compatibility_level(self) -> str:
        """Returns the level that Debian puts into a new main.cf of this release."""
        text = (self._lower / "usr/share/postfix/main.cf.debian").read_text()
        found = re.search(r"(?m)^compatibility_level *= *(\S+)", text)
        if not found:
            raise LabError(f"{self._lower}: the package's main.cf names no compatibility level")
        return found[1]

    def _master_cf(self) -> str:
        """Returns Debian's master.cf, with the chroot column the world wants where it chooses one."""
        stock = (self._lower / "etc/postfix/master.cf.proto").read_text()
        if self.settings.shipped:
            return stock + self.settings.master_cf
        # Five columns, the fifth being the chroot column, two more, and the program.
        service = re.compile(r"(?m)^([^#\s]\S*(?:[ \t]+\S+){3}[ \t]+)\S+((?:[ \t]+\S+){2}[ \t]+(\S+))")

        def chosen(found: re.Match[str]) -> str:
            return found[0] if found[3] in NEVER_CHROOTED else found[1] + self.settings.chroot + found[2]

        return service.sub(chosen, stock) + self.settings.master_cf

    def _fill_jail(self) -> None:
        post_install = self.path(POST_INSTALL)
        if post_install.exists() and "configure-instance.sh" in post_install.read_text():
            # `postfix start` will do it, and the script is for nobody else.
            return
        # The script asks postconf, which needs the queue directories to be there.
        self.run(["postfix", "-c", self.directory, "check"])
        done = self.run(["env", f"MAIL_CONFIG={self.directory}", "sh", FILL_JAIL])
        if done.status != 0 or not self.path(f"{self.settings.queue_directory}/etc/resolv.conf").is_file():
            raise LabError(f"`{FILL_JAIL}` did not fill the jail: {done.stderr}")

    def postfix(self, word: str) -> None:
        """Starts, stops or reloads Postfix and waits until that is so."""
        self._must(["postfix", "-c", self.directory, word])
        if word == "start":
            until("Postfix to listen", _listens)
        elif word == "stop":
            until("Postfix to end", lambda: not self.runs())

    def _must(self, command: list[str]) -> None:
        done = self.run(command)
        if done.status != 0:
            raise LabError(f"{command} ended with {done.status}: {done.stderr}{self.log()[-2000:]}")

    def runs(self) -> bool:
        """Says whether Postfix's master holds its lock."""
        return self.run(["postfix", "-c", self.directory, "status"]).status == 0

    def log(self) -> str:
        """Returns the machine's mail log."""
        path = self.path("/var/log/mail.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def queue_is_empty(self) -> bool:
        """Says whether no message waits."""
        return "Mail queue is empty" in self.run(["postqueue", "-c", self.directory, "-p"]).stdout

    def submit(self, recipient: str, message: bytes, by: str = "sendmail") -> None:
        """Hands a message to Postfix as a local user's program does, or over SMTP."""
        sender = f"{USER}@{DOMAIN}"
        command = self.inside() + ["sendmail", "-C", self.directory, "-f", sender, recipient]
        if by == "smtp":
            # The machine may have no Python, so only its network is entered.
            command = ["nsenter", f"--target={self._pid}", "--net", "--", sys.executable, "-c", OVER_SMTP]
            command += [sender, recipient]
        done = subprocess.run(command, input=message, capture_output=True, env=ENVIRONMENT)
        if done.returncode != 0:
            raise LabError(f"{by} ended with {done.returncode}: {done.stderr.decode('utf-8', 'replace')}")


def _user_number(root: Path, user: str) -> int:
    """Returns a user's number from the machine's own passwd file."""
    for line in (root / "etc/passwd").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == user:
            return int(fields[2])
    raise LabError(f"there is no user `{user}`")


def _listens() -> bool:
    try:
        with socket.create_connection((SENDER_IPV4, 25), timeout=5) as wire:
            return wire.recv(4) == b"220 "
    except OSError:
        return False


def _node(path: Path) -> Node:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        content, attributes = os.readlink(path).encode(), ()
    else:
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        attributes = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
    return Node(status.st_mode, status.st_uid, status.st_gid, content, attributes, status.st_mtime_ns)
