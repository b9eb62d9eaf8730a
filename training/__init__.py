"""How the files in engine/models and showcase were made, from public packages alone."""
