"""A page to play with: draw labels, choose map and prediction, see where the loss pushes the wrong way."""

from rwseg.report.play.page import write_play_page

__all__ = ["write_play_page"]
