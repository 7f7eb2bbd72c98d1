"""Figures of a report, of the theory and of the gallery of losses."""
