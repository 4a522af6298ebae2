"""Which gates fit a budget: search strategies over what the assembler offers."""
