"""Training: one loop over named modules, stages and hooks, and what methods and task domains share."""
