"""How the bundled avatars are made: rendered portraits, then the project's own builder."""
