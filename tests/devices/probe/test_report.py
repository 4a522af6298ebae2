"""The words and numbers of a report."""

from __future__ import annotations

import pytest
from edgewright.devices.probe.report import DeviceReport, cpu_list, glibc_version
from edgewright.errors import InputError


def test_versions_and_lists_of_cpus() -> None:
    assert glibc_version("glibc 2.31") == (2, 31) and glibc_version("2.9") == (2, 9)
    assert glibc_version("musl 1.2") is None and glibc_version(None) is None
    assert cpu_list([3, 0, 1, 7]) == "CPUs 0-1,3,7" and cpu_list([4]) == "CPU 4"
    with pytest.raises(InputError, match="cores=0"):
        DeviceReport(cores=0)
