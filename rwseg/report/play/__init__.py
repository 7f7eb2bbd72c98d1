"""A page to play with: draw labels, choose a map and a prediction, and see where the loss pushes the wrong way."""

from rwseg.report.play.page import write_play_page

__all__ = ["write_play_page"]
