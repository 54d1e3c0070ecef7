"""The ways to augment, one module each: the paper's neighbours and those of other papers."""
