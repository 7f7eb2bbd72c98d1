"""Configuration: the schema of every group, the rules between them, and words for what does not fit."""
