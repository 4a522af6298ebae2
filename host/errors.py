"""One tree of errors; each carries the exit code the command line answers with.

EdgewrightError
├── InputError        2  bad usage or input: an unknown task, a budget of NaN, a corrupt file
├── StorageError      2  a file or folder that cannot be written: full disk, no permission
├── BudgetError       3  no subnet meets the budget
├── DeviceError       4  device unreachable, or it refused
│   └── DeviceRefused    it was reached and said no: to try again brings the same
├── MeasurementError  5  a measurement or a verification failed
└── Interrupted     130  Ctrl-C; what is finished is kept, and the message says how to go on
"""

from __future__ import annotations


class EdgewrightError(Exception):
    """A failure a person can act on. The message says what, with which values, and what to do next."""

    exit_code = 1


class InputError(EdgewrightError, ValueError):
    """Bad usage or input: an unknown task, a budget of NaN, a corrupt file."""

    exit_code = 2


class StorageError(EdgewrightError, OSError):
    """A file or folder that cannot be written: a full disk, no permission."""

    exit_code = 2


class BudgetError(EdgewrightError):
    """No model meets the budget."""

    exit_code = 3


class DeviceError(EdgewrightError):
    """The device is unreachable, or it refused."""

    exit_code = 4


class DeviceRefused(DeviceError):
    """The device was reached and refused: trying again would give the same result."""


class MeasurementError(EdgewrightError):
    """A measurement or a verification failed."""

    exit_code = 5


class Interrupted(EdgewrightError):
    """Ctrl-C; finished work is kept."""

    exit_code = 130
