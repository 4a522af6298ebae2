"""Google's benchmark_model in the agent's place, where a user supplies it."""
