"""Search spaces: which architectures exist, which of them a campaign measures, and what their costs depend on."""
