"""Other ways to a small classifier from the same texts, each in an environment of its own, measured alike."""
