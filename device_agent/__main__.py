"""Starts the agent on stdin and stdout: `python -m device_agent --home DIR`, or the zipapp in its place."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="edgewright-agent", description="Measures models for a host on stdin and stdout."
    )
    parser.add_argument("--home", type=Path, required=True, help="private folder for blobs and deliveries")
    parser.add_argument(
        "--quota-mib", type=int, default=4096, help="disk space for blobs; the least recently used go first"
    )
    parser.add_argument("--runtime", help="which one executes .tflite files; default: the first that works")
    parser.add_argument("--lock", type=Path, help="file that agents of this device share; default: one in the home")
    options = parser.parse_args(arguments)
    # A broken link is noticed on the streams; the signal that comes with it must not cut a measurement short.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)  # models and records are this user's alone, each file by itself too
    in_fd, out_fd = _take_streams()
    # One thread of our own, and no idle ones to copy into every child; before numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from .blobs import BlobError
    from .link import HostLink
    from .runtimes.base import TFLITE_RUNTIMES
    from .server import Agent

    if options.runtime not in (None, *TFLITE_RUNTIMES):
        parser.error(f"--runtime must be one of {', '.join(TFLITE_RUNTIMES)}, got {options.runtime!r}")
    link = HostLink(in_fd, out_fd)
    try:
        return Agent(link, options.home, options.quota_mib << 20, options.runtime, options.lock).serve()
    except (BlobError, OSError) as error:
        print(f"edgewright agent: cannot start in {options.home}: {error}", file=sys.stderr)
        return 1
    finally:
        link.close()


def _take_streams() -> tuple[int, int]:
    """Keep stdin and stdout for frames alone: whatever else prints, native libraries included, prints to stderr."""
    in_fd, out_fd = os.dup(0), os.dup(1)
    null_fd = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_fd, 0)
    os.close(null_fd)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return in_fd, out_fd


if __name__ == "__main__":
    sys.exit(main())
