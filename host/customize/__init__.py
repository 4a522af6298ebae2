"""From a scenario (task, device, budget) to an artifact: the whole flow, none of its insides."""
