"""Jobs that are killed: real processes, a real server, `kill -9`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .kills import killed_job

pytestmark = pytest.mark.plugins


def test_each_row_stands_once_in_the_output_and_nothing_written_is_asked_again(
    tmp_path: Path,
) -> None:
    report = killed_job(tmp_path, 150, 3, concurrency=8, seed=4)
    assert report.kills == 3
    assert report.again == 0
    assert report.calls <= report.rows + len(report.lost)
    assert report.most_in_flight <= 8
