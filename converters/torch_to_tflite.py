"""Converts a torch module to a .tflite with litert-torch."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .errors import ConversionError


def convert(module: nn.Module, example: Tensor) -> bytes:
    """The module as a float32 .tflite with the example's fixed shape `(1, C, H, W)`; the input stays NCHW.

    Raises:
        ConversionError: the example has another batch size, and what `convert_module` raises.
    """
    if example.ndim < 2 or example.shape[0] != 1:
        raise ConversionError(f"the example must hold one sample, (1, C, H, W), but has shape {tuple(example.shape)}")
    return convert_module(module, (example,))


def convert_module(module: nn.Module, inputs: tuple[Tensor, ...]) -> bytes:
    """The module as a float32 .tflite that takes tensors of these shapes, in this order.

    64-bit types of torch have 32 bits in the file. Outputs are in the order of torch's pytree.

    Raises:
        ConversionError: the module is in training mode, or litert-torch fails.
    """
    if any(part.training for part in module.modules()):
        raise ConversionError(f"{type(module).__name__} is in training mode; call .eval() before converting it")
    with silenced(), torch.no_grad():
        import litert_torch  # takes seconds to import, and prints

        litert_torch.config.show_progress = False
        try:
            content: bytes = litert_torch.convert(module, inputs).model_content()
        except Exception as error:  # the converter promises no type
            reason = (str(error).strip().splitlines() or ["no message"])[0]
            raise ConversionError(
                f"litert-torch could not convert {type(module).__name__} ({type(error).__name__}: {reason}); "
                f"does every operation have a TFLite counterpart?"
            ) from error
    return content


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discard what this process prints to stdout and stderr, from Python and from native code.

    The converter's native code writes to the file descriptors, so these are redirected, for all threads. `sys.stderr`
    is not replaced, since log handlers that a library installs in this time would keep the replacement.
    """
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _descriptors_redirected():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
            logging.disable(disabled)


@contextlib.contextmanager
def _descriptors_redirected() -> Iterator[None]:
    _flush()
    saved = [(target, os.dup(target)) for target in (1, 2)]
    with tempfile.TemporaryFile() as sink:
        try:
            for target, _ in saved:
                os.dup2(sink.fileno(), target)
            yield
        finally:
            _flush()
            for target, copy in saved:
                os.dup2(copy, target)
                os.close(copy)


def _flush() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed:
            stream.flush()
