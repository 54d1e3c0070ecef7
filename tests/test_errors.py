"""Errors that are shown on one line."""

from pipeline.errors import one_line


def test_a_long_error_keeps_its_cause():
    assert one_line(ValueError("a\n b  c")) == "a b c"
    line = one_line(ValueError(f"An error occurred while generating{' the dataset' * 100}: line 5 has 3 columns"))
    assert line.startswith("An error occurred while generating the dataset")
    assert line.endswith(": line 5 has 3 columns")
    assert len(line) < 330
