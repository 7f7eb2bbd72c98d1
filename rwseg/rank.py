"""One of the further processes of a run on several devices: `rwseg.ranks` starts it, and nobody else.

python -m rwseg.rank RUN_DIR RANK COUNT STORE RESUME
"""

import logging
import os
import signal
import sys
import threading
import warnings
from pathlib import Path


def main(folder: Path, rank: int, count: int, store: Path, resume: bool) -> None:
    """Train with the others what `folder`/config.yaml says; the first process writes it all."""
    # What ends the run is the first process's to hear, tidy up for, and pass on.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    logging.disable(logging.WARNING)  # the first process says the same
    warnings.simplefilter("ignore")
    from rwseg.ranks import Ranks
    from rwseg.run import train_rank

    train_rank(folder, Ranks(rank, count), store, resume)


def _end_with_the_first() -> None:
    os.read(0, 1)  # nothing is ever written there
    os._exit(1)


if __name__ == "__main__":
    _, run_dir, number, of, meeting, resumed = sys.argv
    main(Path(run_dir), int(number), int(of), Path(meeting), resumed == "1")
