"""Kills a loaded server again and again, and looks each time whether it kept its word."""
