"""Devices: those that are known (`Registry`), and how to talk to the agent on one (`open_session`)."""

from .address import Address
from .connect import connect, open_session
from .registry import LOCAL, Device, Registry, parse_uri
from .session.agent import AgentSession
from .session.jobs import CampaignJob, CampaignReply, MeasureJob
from .session.link import SessionLimits

__all__ = [
    "Address",
    "AgentSession",
    "CampaignJob",
    "CampaignReply",
    "Device",
    "LOCAL",
    "MeasureJob",
    "Registry",
    "SessionLimits",
    "connect",
    "open_session",
    "parse_uri",
]
