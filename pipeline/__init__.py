"""Learning to augment for data-scarce distillation (Feng et al., AAAI 2021), as a library without paths or commands."""
