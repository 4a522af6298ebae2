"""The runtimes that execute models on a device: one file per runtime, behind the protocol in `base`."""
