from __future__ import annotations

import pytest

from olivine.errors import DataError
from olivine.quarantine import Quarantine


@pytest.mark.parametrize(
    ("bad", "total", "fails"), [(0, 0, False), (1, 20, False), (1, 19, True), (5, 100, False), (6, 100, True)]
)
def test_more_than_five_percent_fail(bad, total, fails):
    quarantine = Quarantine("ingest")
    for number in range(bad):
        quarantine.add(f"frame-{number}", "no camera")
    assert [item.frame for item in quarantine.frames] == [f"frame-{number}" for number in range(bad)]
    if not fails:
        quarantine.check(total)
        return
    with pytest.raises(DataError) as caught:
        quarantine.check(total)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"ingest: {bad} of {total} keyframes are bad, more than 5% may be:"
    assert lines[1] == "  frame-0: no camera"
    assert ("  and 1 more" in lines) == (bad == 6)
    assert lines[-1] == "Repair or remove them and run again."
