"""The metrics of cases that are predicted, measured by processes beside the network."""

import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from signal import SIGINT, SIGTERM

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor
from numpy.typing import NDArray

from rwseg.core.errors import KilledError
from rwseg.core.signals import deaf_children
from rwseg.data.parallel import SECONDS_TO_START, end_with
from rwseg.data.preprocessing.prepared import Entry
from rwseg.metrics import MissedPolicy
from rwseg.models.inference.whole_volumes import CaseIdentity, Row, case_rows

CASES_EACH = 2
"""Cases that a process has at once, the one that it measures among them: what bounds the memory."""

MOST = 4
"""More processes would wait for the network."""


class MetricsPool:
    """Rows of `cases.csv` in the order of the cases; with 0 `processes`, each is measured before the next.

    Processes and not threads, for the distance transform keeps Python's lock: the network would stand still.
    They start after `seconds_here` (of the processor) of metrics, which few cases never take, and end with
    `close`. Their rows are those that this process would find, to the bit.
    """

    def __init__(self, processes: int, seconds_here: float = SECONDS_TO_START) -> None:
        self.processes = processes
        self._seconds_left = seconds_here
        self._executor: ProcessPoolExecutor | None = None
        self._found: list[Row] = []
        self._begun: deque[Future[list[Row]]] = deque()

    def add(
        self,
        prediction: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        case: Entry | CaseIdentity,
        classes: Sequence[str],
        missed: MissedPolicy,
    ) -> None:
        """Measure a case, now or soon, as `case_rows` does; what that raised for an older one is raised here.

        Waits where `CASES_EACH` of each process are not measured yet.
        """
        if not self.processes or self._seconds_left > 0:
            begun = time.thread_time()
            self._found += case_rows(prediction, reference, case, classes, missed)
            self._seconds_left -= time.thread_time() - begun
            return
        while len(self._begun) >= CASES_EACH * self.processes:
            self._take()
        try:
            with deaf_children(SIGINT, SIGTERM):
                given = (prediction, np.asarray(reference), case, tuple(classes), missed)
                self._begun.append(self._started().submit(case_rows, *given))
        except BrokenProcessPool as error:
            raise self._killed() from error

    def rows(self) -> list[Row]:
        """The rows of all cases since the last call, once they are there; raises as `add`."""
        while self._begun:
            self._take()
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        """End the processes, and forget the cases whose rows nobody asked for."""
        if self._executor is not None:
            self._executor.shutdown(kill_workers=bool(self._begun))
        self._executor, self._found = None, []
        self._begun.clear()

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.processes,
                initializer=end_with,
                initargs=(os.getpid(),),
                env={"OMP_NUM_THREADS": "1"},  # of libraries that would take every core
            )
        return self._executor

    def _take(self) -> None:
        try:
            self._found += self._begun.popleft().result()
        except BrokenProcessPool as error:
            raise self._killed() from error

    def _killed(self) -> KilledError:
        return KilledError(
            f"metrics: one of {self.processes} processes died, most likely for want of memory; start again "
            "with none of them (workers=1), or allow more memory"
        )
