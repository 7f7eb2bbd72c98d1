"""One of the further processes of a run on several devices: `rwseg.ranks` starts it, and nobody else.

python -m rwseg.rank RUN_DIR RANK COUNT STORE RESUME
"""

import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
"""By which people and schedulers end a run; schedulers tell every process of a job."""


def main(folder: Path, rank: int, count: int, store: Path, resume: bool) -> None:
    """Train with the others what `folder`/config.yaml says; the first process writes it all."""
    # What ends the run is the first process's to hear, tidy up for, and pass on.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    logging.disable(logging.WARNING)  # the first process says the same
    warnings.simplefilter("ignore")
    from rwseg.ranks import Ranks
    from rwseg.run import train_rank

    try:
        train_rank(folder, Ranks(rank, count), store, resume)
    except BaseException:  # noqa: BLE001 -- whatever it is, this process must end
        traceback.print_exc()
        os._exit(1)  # at once: tidying up would wait for the others, and they for this process


def _end_with_the_first() -> None:
    os.read(0, 1)  # nothing is ever written there
    os._exit(1)


if __name__ == "__main__":
    _, run_dir, number, of, meeting, resumed = sys.argv
    main(Path(run_dir), int(number), int(of), Path(meeting), resumed == "1")
