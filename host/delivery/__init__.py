"""From a model to a verdict on a device: precision, verification, manifest, use."""
