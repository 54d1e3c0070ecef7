"""The losses, one module a paper: Eqs. 1-3 and those of other papers."""
