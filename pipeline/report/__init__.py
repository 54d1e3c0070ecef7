"""The report page on a finished run: reading the inputs, computing what is shown, and drawing it."""
