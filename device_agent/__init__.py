"""The device side: measures. Python standard library, numpy and a TFLite runtime; runs on Python 3.8."""

AGENT_VERSION = "0.1.0"
# Raised whenever a frame, an operation or the meaning of a field changes; host and agent must agree.
PROTOCOL_VERSION = 4
