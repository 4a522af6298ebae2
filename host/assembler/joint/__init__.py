"""Joint training of a supernet and its assembler, by a recipe."""
