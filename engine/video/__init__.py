"""Clips of a person: reading, tracking, steadying and joining them."""
