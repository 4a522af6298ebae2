"""Training: one loop over named modules, stages and hooks, and what any method and any task domain needs of it."""
