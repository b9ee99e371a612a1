"""Stands for `olivine <stage> --executor-input JSON` in the tests of the runner, where training would be slow.

It writes real (small) artifacts into the real store by the real executor contract, and notes how it was called. What
else it shall do is told by `settings`: `act=<stage>[/<init>][/<seed>]:<action>`, with the actions below.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NOTES = Path(os.environ["STAND_IN_NOTES"])


def main() -> None:
    word, executor_input = sys.argv[1], json.loads(sys.argv[3])
    if word in ("plan", "groups", "gate", "close", "compare"):
        # The real ones, which take no time.
        from olivine.lineage.compare_command import run_compare_executor
        from olivine.platform.close_step import run_close_executor
        from olivine.platform.retrain_steps import run_gate_executor, run_plan_executor
        from olivine.platform.share_steps import run_groups_executor

        real = {"plan": run_plan_executor, "gate": run_gate_executor, "close": run_close_executor}
        (real | {"compare": run_compare_executor, "groups": run_groups_executor})[word](sys.argv[3])
        return
    given = executor_input["inputs"]["parameterValues"]
    names = {word, f"{word}/{given.get('init')}", f"{word}/{given.get('init')}/{int(given.get('seed', -1))}"}
    names.add(f"{word}/{given.get('group')}")
    note = {"word": word, "threads": os.environ.get("OMP_NUM_THREADS"), "parameters": given}
    note["artifacts"] = {
        name: shown_ids(entry) for name, entry in executor_input["inputs"].get("artifacts", {}).items()
    }
    (NOTES / f"{time.monotonic_ns()}.json").write_text(json.dumps(note))
    for setting in given.get("settings", []):
        where, _, action = str(setting).removeprefix("act=").partition(":")
        if where in names:
            act(*action.split(" "))
    # Only steps that end well pay for these imports.
    from olivine.kfp_io import ExecutorInput

    io = ExecutorInput.parse(sys.argv[3])
    if word == "report":
        path = io.output_path("report")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<h1>{given['title']}</h1>")
        io.write_raw("report", {}, {})
    elif word == "share":
        io.write_parameters(keyframes=int(given["group"].partition("/")[0]))
    else:
        publish(word, io)
    print(f"{word} done")


def shown_ids(entry: dict[str, Any]) -> list[str]:
    return [json.loads(Path(artifact["uri"]).read_text())["id"] for artifact in entry["artifacts"]]


def act(kind: str, value: str = "") -> None:
    """exit CODE, exit_once CODE, crash, kill, hang [stubborn | yielding], first_hangs CODE (the others fail), silent."""
    if kind == "first_hangs":
        try:
            (NOTES / "first").touch(exist_ok=False)
            kind = "hang"
        except FileExistsError:
            wait_for_hang(int(value))
    if kind == "exit" or (kind == "exit_once" and not (NOTES / "once").exists()):
        (NOTES / "once").touch()
        print(f"chatter before\nolivine: the reason for {value}\nand what to do", file=sys.stderr)
        sys.exit(int(value))
    if kind == "crash":
        raise RuntimeError("a bug in the step")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hang":
        if value == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if value == "yielding":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (NOTES / "hanging.part").write_text(f"{os.getpid()} {child.pid}")
        (NOTES / "hanging.part").rename(NOTES / "hanging")
        print("hanging", flush=True)
        time.sleep(600)
    if kind == "silent":
        sys.exit(0)


def wait_for_hang(code: int) -> None:
    while not (NOTES / "hanging").exists():
        time.sleep(0.01)
    sys.exit(code)


def publish(word: str, io: Any) -> None:
    from olivine.artifacts import Output, begin, find_artifact
    from olivine.stages import BY_WORD, PORT_KINDS
    from olivine.store import open_store

    store, given = open_store(str(io.parameters["store"])), io.parameters
    makers = {stage.makes: stage.word for stage in BY_WORD.values()}
    inputs = {
        port: find_artifact(store, makers[PORT_KINDS.get(port, port)], given[f"{port}_id"]).manifest
        for port in BY_WORD[word].takes
        if given.get(f"{port}_id")
    }
    seed = int(given.get("seed", inputs["segmenter"].seed if "segmenter" in inputs else 0))
    recipe = {"stand_in": True, "seed": seed, "source": given.get("source"), "recipe": given.get("recipe")}
    recipe |= {"every_nth": int(given.get("every_nth", 0)), "fraction_unit": "scene"}
    out = begin(store, word, BY_WORD[word].makes, inputs, recipe, seed)
    if isinstance(out, Output):
        out.put("data.txt", f"{word} {seed}".encode())
        out = out.publish({"things": 1}, summarise(given, inputs, seed), ("none",))
    io.write_output(BY_WORD[word].makes, out, id=out.id)


def summarise(given: dict[str, Any], inputs: dict[str, Any], seed: int) -> dict[str, Any]:
    """What makers of numbers say. With a label fraction 1/N, a backbone is worth 0.1/N."""
    init, miou = given["recipe"].partition("@")[0] if "backbone" in inputs else "random", 0.25 + seed / 100
    if "segmenter" in inputs:
        init, every_nth = inputs["segmenter"].summary["init"], inputs["segmenter"].recipe["every_nth"]
        miou += 0.1 / every_nth if every_nth and init != "random" else 0.0
    return {"miou": miou, "init": init, "split": given.get("split"), "frozen": "no"}


if __name__ == "__main__":
    main()
