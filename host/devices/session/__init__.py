"""A conversation with the agent on a device: frames over a stream, blobs, jobs, records."""
