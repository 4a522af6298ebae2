"""Google's benchmark_model instead of the agent, if a user supplies it."""
