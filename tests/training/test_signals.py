from __future__ import annotations

import os
import signal

from olivine.training.signals import stop_flag


def test_sigterm_raises_the_flag_inside_the_block_alone():
    before = signal.getsignal(signal.SIGTERM)
    with stop_flag() as stop:
        assert not stop.is_set
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.is_set
    assert signal.getsignal(signal.SIGTERM) is before
