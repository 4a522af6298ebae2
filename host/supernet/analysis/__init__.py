"""From a module's exported graph to the sites where it can be sliced."""
