"""All task domains by name: the built-in ones, and those of installed packages."""

from __future__ import annotations

from ..plugins import Guests
from .protocol import DomainKind

DOMAINS: Guests[DomainKind] = Guests(
    "edgewright.domains",
    "task domain",
    {
        "numvqa": "edgewright.domains.numvqa.kind:NUMVQA",
        "attrod": "edgewright.domains.detection.kind:ATTROD",
        "images": "edgewright.domains.images.kind:IMAGES",
    },
)
