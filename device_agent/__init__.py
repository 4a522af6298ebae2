"""The agent: runs on a device and measures models there for the host.

It needs Python 3.8 or newer, numpy and a runtime such as ai-edge-litert, and nothing else of Edgewright.
"""

AGENT_VERSION = "0.1.0"
# Increase it whenever a frame, an operation or the meaning of a field changes; host and agent must agree.
PROTOCOL_VERSION = 5
