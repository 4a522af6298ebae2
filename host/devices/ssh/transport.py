"""A board over SSH as a device: the same seam over one authenticated connection."""

from __future__ import annotations

import os
import posixpath
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import paramiko

from ...errors import DeviceError, InputError
from ...files import atomic_path
from ..address import Address
from ..marks import ShellError
from ..transport import Completed
from .command import LoginCommand
from .connect import Link, log_in
from .files import download, is_file, open_sftp, sftp_on, upload
from .stream import SshStream, open_channel, read_to_end, time_limit

AGENT_FOLDER = ".edgewright"
_REPLY_S = 15.0
_TRANSFER_S = 60.0
_KILL_S = 3.0
_EXPLAIN_S = 10.0
# The command leads its process group, unless the login shell stayed above it. No `--`: dash takes it for a number.
_KILL = 'kill -KILL "-$1" 2>/dev/null || kill -KILL "$1"'
# Where systems keep OpenSSH's server; 127 where there is none.
_SFTP_SERVER = (
    "for server in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec /usr/lib; do "
    'if [ -x "$server/sftp-server" ]; then exec "$server/sftp-server"; fi; done; exit 127'
)
_LINK_ERRORS = (paramiko.SSHException, EOFError, OSError)


def connect_ssh(address: Address, device_name: str, timeout_s: float = 15.0) -> SshTransport:
    """Log in to an ssh address, as `~/.ssh/config` and known_hosts say, without asking the user anything.

    Every host on the way has `timeout_s`, or its own ConnectTimeout.
    Raises: `DeviceError` when it cannot be reached, its host key is unknown, changed or revoked, or it does not let us
        in; `InputError` for a configuration that cannot be used.
    """
    try:
        link = log_in(address, timeout_s)
    except DeviceError as error:
        raise DeviceError(f"device {device_name!r}: {error}") from error
    try:
        return SshTransport(link, device_name)
    except BaseException:
        link.close()
        raise


class SshTransport:
    """One user on one host. Files go through SFTP.

    Commands work alike with any login shell: `/bin/sh` runs them, and what the login shell prints itself is left out.
    """

    def __init__(self, link: Link, device_name: str) -> None:
        self._link = link
        self.device_name = device_name
        self._streams: list[SshStream] = []
        self._sftp: paramiko.SFTPClient | None = None
        self._sftp_lock = threading.Lock()
        self.agent_dir = posixpath.join(self._home(), AGENT_FOLDER)

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """A command that is not there has exit code 127; one that a signal killed has 128 and the signal's number."""
        deadline = time.monotonic() + timeout_s
        command = LoginCommand(tuple(argv), reports_exit_code=True)
        stream = self._start(command, timeout_s, stderr_bytes=None)
        try:
            with self._explained(f"running {argv[0]}"):
                stream.end_input()
                stdout, code = command.ended(read_to_end(stream, deadline))
                if code is None:
                    code = stream.exit_code(deadline - time.monotonic())
            if code is None and not self._link.is_alive():
                raise self._lost(f"running {argv[0]}")
            if stream.noise is not None:
                raise self._unstarted(argv[0], stream)
            return Completed(-1 if code is None else code, stdout, stream.stderr())
        except TimeoutError as error:
            raise self._too_long(argv, timeout_s) from error
        finally:
            stream.kill()

    def push(self, source: Path, target: str, mode: int = 0o600) -> None:
        _check_path(target)
        folder = posixpath.dirname(target)
        temporary = posixpath.join(folder, f".edgewright-{secrets.token_hex(8)}.part")
        with self._sftp_lock, _open_source(source) as file:
            try:
                with self._explained_file(f"write {target!r}", target, os.fstat(file.fileno()).st_size):
                    self._upload(file, os.fsencode(temporary), os.fsencode(target), mode)
            except BaseException:
                self._drop_sftp()
                self._discard(temporary)
                raise

    def pull(self, source: str, target: Path) -> None:
        _check_path(source)
        with self._sftp_lock, atomic_path(target) as temporary, open(temporary, "wb") as file:
            try:
                self._download(source, file)
            except BaseException:
                self._drop_sftp()
                raise

    def open_stream(self, argv: Sequence[str]) -> SshStream:
        stream = self._start(LoginCommand(tuple(argv)), _REPLY_S)
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        for stream in self._streams:
            stream.kill()
        self._streams.clear()
        self._link.close()

    def _start(self, command: LoginCommand, timeout_s: float, **options: int | None) -> SshStream:
        program = command.argv[0]
        with self._explained(f"starting {program}"):
            try:
                channel = self._execute(command.line, timeout_s)
            except TimeoutError as error:
                raise self._too_long(command.argv, timeout_s) from error
        return SshStream(channel, command, self._link.is_alive, self._kill_process, **options)

    def _execute(self, line: bytes, timeout_s: float) -> paramiko.Channel:
        """Raises: `TimeoutError`, and paramiko's errors."""
        end = time.monotonic() + timeout_s
        channel = open_channel(self._link.transport, timeout_s)
        with time_limit(channel, max(0.01, end - time.monotonic())):
            channel.exec_command(line)
        return channel

    def _kill_process(self, pid: int) -> None:
        """As far as the device can still be reached: what cannot be told to end notices that its streams have."""
        line = LoginCommand(("sh", "-c", _KILL, "sh", str(pid))).line
        try:
            channel = self._execute(line, _KILL_S)
        except _LINK_ERRORS:
            return
        channel.status_event.wait(_KILL_S)
        channel.close()

    def _home(self) -> str:
        """Where SFTP begins, which no greeting of a login shell can garble."""
        with self._sftp_lock, self._explained_file("find the user's home", "."):
            return os.fsdecode(self._session().normalize(b"."))

    def _session(self) -> paramiko.SFTPClient:
        """The subsystem; where a login shell's greeting garbles that one, its server started as a command."""
        if self._sftp is None:
            try:
                self._sftp = open_sftp(self._link.transport, _TRANSFER_S)
            except (paramiko.SSHException, paramiko.SFTPError, EOFError) as error:
                if not self._link.is_alive():
                    raise
                self._sftp = self._sftp_by_command(error)
        return self._sftp

    def _sftp_by_command(self, garbled: Exception) -> paramiko.SFTPClient:
        """Raises what the subsystem failed with where the device has no server to start either."""
        command = LoginCommand(("sh", "-c", _SFTP_SERVER))
        channel = self._execute(command.line, _REPLY_S)
        try:
            if not command.is_begun_on(channel, _REPLY_S):
                raise garbled
            channel.settimeout(_TRANSFER_S)
            return sftp_on(channel)
        except BaseException:
            channel.close()
            raise

    def _drop_sftp(self) -> None:
        """After a failure: replies to requests that are still on their way would belong to nothing."""
        if self._sftp is not None:
            try:
                self._sftp.close()
            except _LINK_ERRORS:
                pass  # the link is gone, and the session with it
            self._sftp = None

    def _upload(self, file: BinaryIO, temporary: bytes, target: bytes, mode: int) -> None:
        sftp = self._session()
        size = upload(sftp, file, temporary, mode)
        arrived = sftp.stat(temporary).st_size
        if arrived != size:
            raise OSError(f"{arrived} of {size} bytes arrived")
        sftp.posix_rename(temporary, target)

    def _download(self, source: str, file: BinaryIO) -> None:
        failed_here: list[OSError] = []

        def write(data: bytes) -> None:
            try:
                file.write(data)
            except OSError as error:
                failed_here.append(error)
                raise

        try:
            with self._explained_file(f"read {source!r}", source):
                if not is_file(self._session(), os.fsencode(source)):
                    raise OSError("it is not a regular file")
                download(self._session(), os.fsencode(source), write)
        except DeviceError:
            if failed_here:
                raise failed_here[0] from None  # this machine's disk, and not the device
            raise

    def _discard(self, temporary: str) -> None:
        """As far as the device can still be reached; the error on its way matters more than this one."""
        if not self._link.is_alive():
            return
        try:
            self.run(["rm", "-f", temporary], _EXPLAIN_S)
        except DeviceError:
            pass

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """What breaks a command; a `TimeoutError` passes."""
        try:
            yield
        except TimeoutError:
            raise
        except ShellError as error:
            raise self._failure(str(error)) from error
        except _LINK_ERRORS as error:
            raise self._lost(doing, error) from error

    @contextmanager
    def _explained_file(self, doing: str, path: str, size_to_write: int | None = None) -> Iterator[None]:
        """What SFTP says about `path`, distinguished from a lost link and from silence."""
        try:
            yield
        except TimeoutError as error:
            raise self._failure(f"cannot {doing}: no answer for {_TRANSFER_S:g} s; check the device") from error
        except OSError as error:
            if not self._link.is_alive():
                raise self._lost(f"trying to {doing}", error) from error
            raise self._failure(f"cannot {doing}: {self._file_trouble(error, path, size_to_write)}") from error
        except (paramiko.SSHException, paramiko.SFTPError, EOFError) as error:
            if self._link.is_alive() and self._sftp is None:
                raise self._failure(
                    f"cannot {doing}: it opens no SFTP session ({error}); set Subsystem sftp internal-sftp in its "
                    "/etc/ssh/sshd_config, and let no shell startup file print anything"
                ) from error
            raise self._lost(f"trying to {doing}", error) from error

    def _file_trouble(self, error: OSError, path: str, size_to_write: int | None) -> str:
        """The reason and the next step; SFTP has one bare `Failure` for a full disk and for a folder in the way."""
        folder = posixpath.dirname(path)
        if isinstance(error, FileNotFoundError):
            missing = "such file; check the path" if size_to_write is None else f"folder {folder!r}; make it first"
            return f"there is no {missing}"
        if isinstance(error, PermissionError):
            return f"its user has no permission there; use a folder that user owns, such as {self.agent_dir!r}"
        free = None if size_to_write is None else self._free_bytes(folder)
        if size_to_write is not None and free is not None and free < size_to_write:
            return f"its disk is full: {free} bytes are free, {size_to_write} are needed; free some space there"
        return f"{error.strerror or error}; check the path and the device's disk"

    def _free_bytes(self, folder: str) -> int | None:
        self._drop_sftp()
        try:
            done = self.run(["df", "-Pk", folder], _EXPLAIN_S)
        except DeviceError:
            return None
        words = done.stdout.decode(errors="replace").splitlines()[-1:]
        fields = words[0].split() if words else []
        return int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdecimal() else None

    def _unstarted(self, program: str, stream: SshStream) -> DeviceError:
        """A login shell that ended without starting anything, such as nologin's."""
        said = (stream.noise or b"").decode(errors="replace").strip() or stream.stderr_tail() or "nothing"
        return self._failure(
            f"its login shell did not start {program}; it said {said[-300:]!r}; give its user a shell that starts "
            "commands"
        )

    def _too_long(self, argv: Sequence[str], timeout_s: float) -> DeviceError:
        return self._failure(
            f"{argv[0]} did not end within {timeout_s:g} s and was stopped; look at the device, or allow more time"
        )

    def _lost(self, doing: str, error: Exception | None = None) -> DeviceError:
        said = f" ({error})" if error is not None and str(error) else ""
        state = "the SSH connection failed" if self._link.is_alive() else "the SSH connection was lost"
        return self._failure(f"{state} while {doing}{said}; check the device and the network, then try again")

    def _failure(self, text: str) -> DeviceError:
        return DeviceError(f"device {self.device_name!r}: {text}")


def _check_path(path: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise InputError(f"a path on a device is absolute and has no NUL character; got {path!r}")


@contextmanager
def _open_source(path: Path) -> Iterator[BinaryIO]:
    """Raises `DeviceError` as `LocalTransport` does for a file that cannot be read."""
    try:
        file = open(path, "rb")
    except OSError as error:
        raise DeviceError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    with file:
        yield file
