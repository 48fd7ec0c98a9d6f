"""The commands: each parses flags and calls one function."""
