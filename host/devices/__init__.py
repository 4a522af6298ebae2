"""Devices: which there are (`Registry`), and how to talk to the agent on one (`open_session`)."""

from .agent_link import SessionLimits
from .registry import LOCAL, Address, Device, Registry, parse_uri
from .session import AgentSession, MeasureJob, open_session

__all__ = [
    "LOCAL",
    "Address",
    "AgentSession",
    "Device",
    "MeasureJob",
    "Registry",
    "SessionLimits",
    "open_session",
    "parse_uri",
]
