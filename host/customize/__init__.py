"""From a scenario (task, device, budget) to an artifact: the whole flow; its steps are in the rooms below."""
