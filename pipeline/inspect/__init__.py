"""The inspect command: neighbours filtered, joined with π and predictions, and printed."""
