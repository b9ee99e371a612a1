"""Who is named when nothing goes on; test_training_processes.py stops a real process."""

from __future__ import annotations

import json

from olivine.training.watch import Watch


def watch(size=3, hang_s=90.0):
    return Watch(0, size, None, hang_s) if size == 1 else _Looking(size, hang_s)


class _Looking(Watch):
    """A watch that is told what others say."""

    def __init__(self, size, hang_s):
        super().__init__(0, size, _NoStore(), hang_s)

    def look(self, heard, now_s, silent=()):
        beats = {rank: 0 if rank in silent else now_s for rank in heard}
        return super().look({rank: [*place, beats[rank]] for rank, place in heard.items()}, now_s)


class _NoStore:
    pass


def test_the_rank_that_is_behind_is_named_in_under_120_s():
    looking, here, behind = watch(), [7, "backward of step 3"], [6, "forward of step 3"]
    assert looking.look({0: here, 1: here, 2: behind}, 0.0) is None
    assert looking.look({0: here, 1: here, 2: behind}, 89.0) is None
    problem = looking.look({0: here, 1: here, 2: behind}, 91.0)
    assert "rank 2 hangs in forward of step 3 and the others wait for it" in str(problem)
    assert problem.exit_code == 75


def test_a_rank_that_says_nothing_is_named_wherever_it_was():
    looking, here = watch(), [7, "checkpoint of step 3"]
    everybody = dict.fromkeys(range(3), here)
    assert looking.look(everybody, 1.0) is None
    for now_s in range(2, 91):
        assert looking.look(everybody, float(now_s), silent={1}) is None
    problem = looking.look(everybody, 93.0, silent={1})
    assert "rank 1 hangs in checkpoint of step 3 and the others wait for it" in str(problem)


def test_whoever_goes_on_slowly_does_not_hang():
    looking = watch()
    for second in range(0, 1000, 60):
        place = [second // 60, f"forward of step {second // 60}"]
        assert looking.look({0: [100, "backward of step 50"], 1: place, 2: place}, float(second)) is None


def test_nobody_behind_is_the_network():
    looking, here = watch(), [7, "backward of step 3"]
    looking.look(dict.fromkeys(range(3), here), 0.0)
    assert "all 3 hang in backward of step 3: look at the network" in str(
        looking.look(dict.fromkeys(range(3), here), 91.0)
    )


def test_checkpoints_and_the_start_may_take_longer():
    looking, here = watch(), [7, "checkpoint of step 3"]
    looking.look(dict.fromkeys(range(3), here), 0.0)
    assert looking.look(dict.fromkeys(range(3), here), 1000.0) is None
    late = watch()
    late.look({0: [1, "forward of step 0"]}, 0.0)
    assert late.look({0: [1, "forward of step 0"]}, 800.0) is None
    assert "rank 1, 2 hangs in start" in str(late.look({0: [1, "forward of step 0"]}, 901.0))


def test_a_slow_rank_is_said(capsys):
    looking = watch()
    for look in range(120):
        looking.look(
            {0: [look + 1, "data of step 1"], 1: [look, "forward of step 1"], 2: [look + 1, "data of step 1"]}, look
        )
    assert json.loads(capsys.readouterr().err) == {"slow_rank": 1, "share_of_looks_behind": 1.0}


def test_one_process_watches_nobody():
    with watch(1) as alone:
        alone.at("forward", 0)
        assert not alone._thread.is_alive()
