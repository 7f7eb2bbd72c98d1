"""Figures of a report, of the theory and of the gallery of losses.

`all_figures.draw_figures` draws those of a report, in the colours and sizes of `style`. Figures of one
run are `rwseg.training.figures`; nothing is computed here that a table does not have.
"""
