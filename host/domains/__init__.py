"""Task domains: each a folder with its tasks, data, batches, losses and reader."""
