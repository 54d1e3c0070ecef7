"""Neighbours of a text, z ~ P_s(z|x): Eqs. 10–12, and the masked language model that fills the words."""
