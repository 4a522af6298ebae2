"""Joint training of supernet and assembler, once per task space and backbone."""
