"""Starts the agent, which talks to the host on stdin and stdout: `python -m device_agent --home DIR`, or the zipapp."""

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
        "--quota-mib", type=int, default=4096, help="disk space for blobs; the least recently used are removed first"
    )
    parser.add_argument("--runtime", help="the runtime for .tflite files; default: the first that works")
    parser.add_argument("--lock", type=Path, help="lock file that agents share; default: one in the home")
    options = parser.parse_args(arguments)
    # A broken link is noticed on the streams; the signal that comes with it must not cut a measurement short.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)  # only this user may read models and records, even where the folder is open
    in_fd, out_fd = _take_streams()
    # Set before numpy is imported: the agent must stay single-threaded, since it forks.
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
    """Reserve stdin and stdout for frames: everything else that prints, native libraries included, goes to stderr."""
    in_fd, out_fd = os.dup(0), os.dup(1)
    null_fd = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_fd, 0)
    os.close(null_fd)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return in_fd, out_fd


if __name__ == "__main__":
    sys.exit(main())
