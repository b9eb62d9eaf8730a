"""The ``bithuman`` command: pull, run, render, inspect and build talking avatars."""

__version__ = "0.1.0"
