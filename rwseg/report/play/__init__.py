"""A page to play with: draw labels, choose map and prediction, see where the loss pushes the wrong way.

`report.play.page` puts templates and scripts together, `report.play.labels` brings the user's own labels to a
drawing's size. The scripts compute what `rwseg.maps` and `rwseg.losses.theory` do, in float64.
"""

from rwseg.report.play.page import write_play_page

__all__ = ["write_play_page"]
