"""Where a campaign's models come from: cut out of one template on the device, or built on the host one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from edgewright.device_agent.timing import TimingProtocol

from ..architecture import Architecture
from ..devices.session.jobs import CampaignJob, CampaignReply, MeasureJob
from ..errors import InputError, MeasurementError
from ..files import sha256_of
from ..spaces.base import A, A_co

_A_contra = TypeVar("_A_contra", bound=Architecture, contravariant=True)

Attempt = tuple[int, int]
"""A position in the plan, and which try it is."""

NOT_BUILT = "not_built"
"""The kind of error of an architecture that no model could be made of."""

_KEPT_BYTES = 256 << 20


class CampaignSession(Protocol):
    """What a campaign needs of a device: its facts, room for models, and their measurements.

    Every method raises `DeviceError` when the device is gone.
    """

    def facts(self) -> Mapping[str, Any]: ...

    def put_blob(self, data: bytes) -> str:
        """Push once; returns the content's sha256."""

    def measure(self, job: MeasureJob, protocol: TimingProtocol) -> dict[str, Any]:
        """The agent's answer to one measurement."""

    def measure_each(
        self,
        key: str,
        template_sha: str,
        jobs: Sequence[CampaignJob],
        protocol: TimingProtocol,
        stored: Sequence[Attempt],
    ) -> Iterator[CampaignReply]:
        """The agent's answers in the order of `jobs`; what is in `stored` may leave the device's spool."""

    def spooled(self, key: str) -> Iterator[CampaignReply]:
        """What the device finished and could not hand over."""

    def drop_spooled(self, key: str, attempts: Sequence[Attempt]) -> None: ...

    def reopen(self) -> None:
        """Reach the device again after it was lost."""


class Job(NamedTuple, Generic[A_co]):
    """One architecture of a campaign: its position in the plan, which try this is, and itself."""

    position: int
    attempt: int
    architecture: A_co


class Models(Protocol[_A_contra]):
    """Makes the models of a space's architectures. `digest` tells from what: a campaign's `source`."""

    @property
    def digest(self) -> str: ...

    def prepare(self, session: CampaignSession) -> None:
        """Push what all models share."""

    def measure_each(
        self,
        session: CampaignSession,
        key: str,
        jobs: Sequence[Job[_A_contra]],
        protocol: TimingProtocol,
        stored: Sequence[Attempt],
    ) -> Iterator[CampaignReply]:
        """The agent's answers in the order of `jobs`; the other arguments are those of `CampaignSession`."""


class TemplateModels:
    """Models that the device cuts out of one template: it is pushed once, and then some hundred bytes per model."""

    def __init__(self, template: bytes) -> None:
        self._template = template

    @cached_property
    def digest(self) -> str:
        return sha256_of(self._template)

    def prepare(self, session: CampaignSession) -> None:
        session.put_blob(self._template)

    def measure_each(
        self,
        session: CampaignSession,
        key: str,
        jobs: Sequence[Job[Architecture]],
        protocol: TimingProtocol,
        stored: Sequence[Attempt],
    ) -> Iterator[CampaignReply]:
        encoded = [CampaignJob(job.position, job.attempt, job.architecture.encoding) for job in jobs]
        return session.measure_each(key, self.digest, encoded, protocol, stored)


class BuiltModels(Generic[A]):
    """Models that are built here, pushed and measured one by one.

    The agent spools no single measurement: one that is under way when the device is lost is measured again.

    Args:
        digest: names what `build` depends on beside the architecture: weights, input shape, format.
        build: the model file of an architecture; raises `InputError` or `MeasurementError` for one that cannot be made,
            which becomes a record with the error "not_built".
    """

    def __init__(self, digest: str, build: Callable[[A], bytes]) -> None:
        self.digest = digest
        self._build = build
        self._kept: dict[str, bytes] = {}  # by architecture, the least recently used first

    def prepare(self, session: CampaignSession) -> None:
        """Nothing: models share nothing."""

    def measure_each(
        self,
        session: CampaignSession,
        key: str,
        jobs: Sequence[Job[A]],
        protocol: TimingProtocol,
        stored: Sequence[Attempt],
    ) -> Iterator[CampaignReply]:
        for job in jobs:
            begun, start = time.time(), time.perf_counter()
            try:
                content = self._model(job.architecture)
            except (InputError, MeasurementError) as error:
                failure = {"error": {"kind": NOT_BUILT, "message": str(error)}}
                yield CampaignReply(job.position, job.attempt, begun, failure)
                continue
            emit_ms = 1e3 * (time.perf_counter() - start)
            reply = session.measure(MeasureJob(model_sha=session.put_blob(content)), protocol)
            yield CampaignReply(job.position, job.attempt, begun, {**reply, "emit_ms": emit_ms})

    def _model(self, architecture: A) -> bytes:
        """Sentinels, repeats and second tries come up again: as many models are kept as memory is set aside for."""
        digest = architecture.digest
        content = self._kept.pop(digest, None) or self._build(architecture)
        self._kept[digest] = content  # now the newest
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > _KEPT_BYTES:
            del self._kept[next(iter(self._kept))]
        return content
