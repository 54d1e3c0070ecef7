"""Planted harm: does the selector drop what harms the student?"""
