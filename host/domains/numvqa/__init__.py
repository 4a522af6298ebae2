"""NumVQA: yes/no questions about four handwritten digits."""
