"""A warm process that pretrains in float64 in forked children, so many a run, with gloo between them.

Reads one JSON line a request from stdin, {"arguments": [...], "ranks": 2, "port": 29500, "stop_after": 3}, and answers
one, {"returncodes": [...], "stdout": ..., "stderr": ...} (those of the first rank). SIGTERM comes to the first rank
when it has counted `stop_after` steps. Nothing but the width of the numbers differs from `olivine pretrain`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import deepspeed  # noqa: E402
import torch  # noqa: E402

from olivine import cli  # noqa: E402
from olivine.pretrain import batch, heads, stage  # noqa: E402
from olivine.progress import Progress  # noqa: E402


def widen():
    """Parameters, features and gradients in float64: DeepSpeed averages it, though its list of types leaves it out."""
    accelerator = deepspeed.accelerator.get_accelerator()
    supported = accelerator.supported_dtypes()
    accelerator.supported_dtypes = lambda: [*supported, torch.float64]
    initialize = deepspeed.initialize

    def wide_engine(**given):
        made = initialize(**given)
        # It would send gradients in float32.
        made[0].communication_data_type = torch.float64
        return made

    deepspeed.initialize = wide_engine
    build, move, sample = stage._distiller, batch._to, heads.sample_maps

    def wide(value):
        return value.double() if torch.is_tensor(value) and value.dtype == torch.float32 else value

    def move_wide(value, device):
        moved = move(value, device)
        if isinstance(moved, batch.CloudBatch):
            return batch.CloudBatch(**{name: wide(tensor) for name, tensor in vars(moved).items()})
        return wide(moved)

    stage._distiller = lambda *inputs: build(*inputs).double()
    batch._to = move_wide
    heads.sample_maps = lambda *inputs: sample(*inputs).double()


def stop_after(steps):
    advance = Progress.advance

    def counted(self, units=1, **values):
        advance(self, units, **values)
        if self.work == "pretrain" and self.done == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    Progress.advance = counted


def child(request, rank, stdout, stderr):
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    if request["ranks"] > 1:
        os.environ |= {
            "RANK": str(rank),
            "WORLD_SIZE": str(request["ranks"]),
            "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(request["port"]),
        }
    if request["stop_after"] and rank == 0:
        stop_after(request["stop_after"])
    sys.argv = ["olivine", *request["arguments"]]
    code = 1
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def answer(request):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open("wb") as nowhere:
        pids = []
        for rank in range(request["ranks"]):
            pid = os.fork()
            if pid == 0:
                child(request, rank, *(file.fileno() for file in ((out, err) if rank == 0 else (nowhere, err))))
            pids.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        found = {"returncodes": codes}
        for name, file in (("stdout", out), ("stderr", err)):
            file.seek(0)
            found[name] = file.read().decode()
    return found


widen()
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
