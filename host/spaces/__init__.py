"""Search spaces: what architectures there are, which of them a campaign measures, and what their costs depend on."""
