"""`llmmw.sync`, in threads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait

from _load import QUESTION, Job, Meter, serve
from _options import options_of, target_of

from llmmw import sync


def _in_threads(job: Job) -> dict[str, float]:
    threads = ThreadPoolExecutor(job.in_flight)
    with sync.Client(target_of(job), **options_of(job)) as client, threads:

        def work() -> None:
            while meter.goes_on():
                began = time.perf_counter()
                client.ask(QUESTION)
                meter.ended(began, None)

        meter = Meter(job)
        wait([threads.submit(client.ask, QUESTION) for _ in range(job.in_flight)])
        meter.start()
        for done in [threads.submit(work) for _ in range(job.in_flight)]:
            done.result()
        return meter.result()


serve(_in_threads)
