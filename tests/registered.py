"""The losses that rwseg brings: the files of `conf/loss`, but for the one that stands for a user's own."""

from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.targets import CUSTOM

LOSSES = sorted(file for file in (CONF / "loss").glob("*.yaml") if file.stem != CUSTOM)
