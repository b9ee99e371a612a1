"""A warm process that runs `olivine` command lines in forked children and kills them where it is told to.

Reads one JSON line a request from stdin, {"arguments": [...], "work": "pretrain", "after": 3, "signal": 9}, and answers
one, {"returncode": ..., "stdout": ..., "stderr": ...}. The signal comes when that work has counted `after` units.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import warnings

warnings.simplefilter("ignore")

import deepspeed  # noqa: E402, F401

import olivine.finetune.stage  # noqa: E402
import olivine.pretrain.stage  # noqa: E402, F401
from olivine import cli  # noqa: E402
from olivine.progress import Progress  # noqa: E402


def arm(request):
    advance = Progress.advance

    def counted(self, units=1, **values):
        advance(self, units, **values)
        if self.work == request["work"] and self.done == request["after"]:
            print(f"signal at {time.time()}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), request["signal"])

    Progress.advance = counted


def child(request, stdout, stderr):
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    if request.get("signal"):
        arm(request)
    sys.argv = ["olivine", *request["arguments"]]
    code = 1
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


for line in sys.stdin:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            child(json.loads(line), out.fileno(), err.fileno())
        status = os.waitpid(pid, 0)[1]
        answer = {"returncode": os.waitstatus_to_exitcode(status)}
        for name, file in (("stdout", out), ("stderr", err)):
            file.seek(0)
            answer[name] = file.read().decode()
    print(json.dumps(answer), flush=True)
