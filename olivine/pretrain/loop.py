"""The loop of pretraining: one optimiser step after the other, watched, and kept in checkpoints."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from olivine.artifacts import Output, open_artifact
from olivine.artifacts.code import code_version
from olivine.artifacts.environment import image_digest
from olivine.errors import DataError, Interrupted, UsageError
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.distiller import Distiller
from olivine.pretrain.loader import Loader, Prepared
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.samples import PretrainSamples
from olivine.progress import Progress
from olivine.training.background import Background
from olivine.training.checkpoint import Checkpoint, Keep, Place, find_checkpoint, read_checkpoint, save_checkpoint
from olivine.training.deepspeed_engine import Engine, World, any_process, sum_processes, tell_all, wait_for_all
from olivine.training.determinism import deterministic
from olivine.training.execution import Execution
from olivine.training.optimizer import build_optimizer, rate_factor, set_rate
from olivine.training.order import Order
from olivine.training.rng import rng_state, set_rng_state
from olivine.training.shards import join_state
from olivine.training.signals import StopFlag, stop_flag
from olivine.training.tracker import StepFacts, open_trackers
from olivine.training.trouble import explained
from olivine.training.watch import Watch


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and how. `tokens` are the keyframes that `order` counts."""

    out: Output
    distiller: Distiller
    samples: PretrainSamples
    encode: Callable[[PretrainBatch], PretrainBatch]
    tokens: list[str]
    order: Order
    recipe: PretrainRecipe
    execution: Execution
    world: World


@dataclass
class Course:
    """What a training has to tell: losses step by step; steps that were left out, with their keyframes; and those that
    were left out for the range of fp16 alone."""

    history: list[dict[str, float]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    overflowed: list[int] = field(default_factory=list)


def train(task: Task) -> Course:
    """Train from the newest checkpoint, or the beginning, to the last step.

    Raises:
        UsageError: settings that do not go together. DataError: a loss that is not finite.
        Interrupted: SIGTERM came, and a checkpoint of the last step is kept.
        PeerError: another process is gone. ConfigError: out of memory.
    """
    _check(task)
    with explained(task.order.share(task.world.size) // task.execution.accumulate):
        return _Trainer(task).run()


def _check(task: Task) -> None:
    recipe, execution = task.recipe, task.execution
    task.order.share(task.world.size, execution.accumulate)
    if recipe.cross_rank == "batch":
        if execution.accumulate > 1:
            raise UsageError("pretrain.cross_rank=batch normalises the whole batch at once: leave --accumulate at 1.")
        if recipe.num_pairs % recipe.batch_size:
            raise UsageError(
                f"pretrain.cross_rank=batch draws alike from each keyframe: num_pairs {recipe.num_pairs} must be a "
                f"multiple of batch_size {recipe.batch_size}."
            )
    if recipe.not_finite == "skip" and (execution.zero_stage or execution.accumulate > 1):
        raise UsageError("pretrain.not_finite=skip cannot take back a part or a shard: use --zero 0 --accumulate 1.")


class _Trainer:
    def __init__(self, task: Task) -> None:
        self._task, self._world, self._execution = task, task.world, task.execution
        recipe, distiller = task.recipe, task.distiller
        trained = [parameter for parameter in distiller.parameters() if parameter.requires_grad]
        self._optimizer = build_optimizer(recipe.optimizer, [{"params": trained}])
        self._engine = Engine(
            distiller,
            self._optimizer,
            recipe.batch_size,
            task.world,
            recipe.optimizer.clip_norm,
            task.execution.zero_stage,
            task.execution.accumulate,
            fp16=recipe.precision == "fp16",
        )
        self._course = Course()
        self._place = Place(task.world.rank, task.world.size, tell_all(task.out.recorder.run, task.world))
        self._background = Background() if task.execution.background_checkpoints else None
        self._watch = Watch(task.world.rank, task.world.size, task.world.peers, task.execution.hang_s)
        commit, image = code_version(task.out.stage).commit, image_digest()
        names = {"git": commit or "", "image": image or "", "method": recipe.method}
        self._trackers = open_trackers(
            task.execution,
            task.out.id,
            names,
            task.out.store.traffic,
            is_first=task.world.is_first,
            on_node=int(os.environ.get("LOCAL_RANK", "0")),
        )

    def run(self) -> Course:
        task, order = self._task, self._task.order
        first_step = self._resume()
        task.distiller.train()
        places = order.batches(first_step, self._world.rank, self._world.size)
        loader = Loader(task.samples, task.tokens, places, self._execution.accumulate, self._execution.workers)
        progress = Progress("pretrain", order.num_steps, "steps", line_every_s=0.0, shown=self._world.is_first)
        start_s, cpu_s = time.monotonic(), time.process_time()
        try:
            with deterministic(), stop_flag() as stop, progress, self._watch:
                progress.skip(first_step)
                self._loop(loader, progress, stop)
                if self._background:
                    self._background.finish()
        finally:
            for tracker in self._trackers:
                tracker.close()
        self._record(order.num_steps - first_step, time.monotonic() - start_s, time.process_time() - cpu_s, loader)
        return self._course

    def _loop(self, loader: Loader, progress: Progress, stop: StopFlag) -> None:
        order, every = self._task.order, self._task.recipe.checkpoint_every
        before_s, waited_s = time.monotonic(), 0.0
        for prepared in loader:
            found = self._step(prepared)
            now_s = time.monotonic()
            facts = StepFacts(**found, step_s=now_s - before_s, data_wait_s=loader.wait_s - waited_s)
            before_s, waited_s = now_s, loader.wait_s
            for tracker in self._trackers:
                tracker.step(facts)
            progress.advance(1, **facts.losses, **({} if facts.grad_norm is None else {"grad_norm": facts.grad_norm}))
            done = facts.step + 1
            stopped = any_process(stop.is_set, self._world)
            if stopped or (done % every == 0 and done < order.num_steps):
                self._save(done, wait=stopped)
            if stopped:
                raise Interrupted(f"pretrain: stopped by SIGTERM after step {done}; run it again to go on from there.")
            self._watch.at("data", done)

    def _step(self, prepared: Prepared) -> dict[str, Any]:
        """One optimiser step, or none where it has to be skipped; its facts but for times."""
        task, place, step = self._task, prepared.place, prepared.place.step
        task.samples.hidden_pairs.update(prepared.hidden_pairs)
        rate = set_rate(
            self._optimizer,
            rate_factor(task.recipe.optimizer, step, task.order.num_steps, task.order.steps_per_epoch),
        )
        facts = {"step": step, "epoch": place.epoch, "lr": rate, "samples": task.order.batch_size}
        buffers = _copies(task.distiller) if task.recipe.not_finite == "skip" else None
        values, norm = self._accumulate(prepared)
        if norm is not None and math.isfinite(norm) and all(map(math.isfinite, values.values())):
            self._task.distiller.after_step()
            self._course.history.append({"step": step, "lr": rate, **values})
            return facts | {"losses": values, "grad_norm": norm}
        if norm is not None and self._engine.absorb_overflow():
            self._course.overflowed.append(step)
            return facts | {"losses": values, "grad_norm": None, "overflow": True}
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        self._not_finite(prepared, bad if norm is None else ["the gradient"], buffers)
        return facts | {"losses": {}, "grad_norm": None, "skipped": True}

    def _accumulate(self, prepared: Prepared) -> tuple[dict[str, float], float | None]:
        """Losses, averaged over this process's parts, and the norm of the gradients; None where no step was made."""
        step, world, accumulate = prepared.place.step, self._world, self._execution.accumulate
        sums: dict[str, float] = {}
        norm: float | None = None
        for number, part in enumerate(prepared.parts):
            self._watch.at("forward", step)
            generator = torch.Generator().manual_seed(self._draw_seed(step, world.rank * accumulate + number))
            losses = self._engine.forward(self._task.encode(part.to(world.device)), generator)
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss.detach())
            self._watch.at("backward", step)
            if any_process(not all(map(math.isfinite, sums.values())), world):
                return sums, None
            self._engine.backward(losses["loss"])
            if number == accumulate - 1:
                norm = self._engine.gradient_norm()
                if norm is not None and not math.isfinite(norm):
                    break
            sharded = self._engine.step()
            norm = sharded if norm is None else norm
        return {name: value / accumulate for name, value in sums.items()}, norm

    def _draw_seed(self, step: int, part: int) -> int:
        """Pairs are drawn anew at each step and part, and alike in every run."""
        recipe = self._task.recipe
        return (recipe.seed * 1_000_003 + step) * 4099 + (0 if recipe.cross_rank == "batch" else part)

    def _not_finite(self, prepared: Prepared, bad: list[str], buffers: dict[str, Tensor] | None) -> None:
        """Stop, or take the step back; either way its keyframes are written down, to be tried again by hand."""
        out, place = self._task.out, prepared.place
        note = {"step": place.step, "epoch": place.epoch, "bad": bad, "keyframes": prepared.keyframes}
        folder = f"records/replay/{out.stage}/{out.id}"
        out.store.create(f"{folder}/step-{place.step:08d}-rank-{self._world.rank:05d}.json", json.dumps(note).encode())
        if buffers is None:
            what = f"{', '.join(bad)} is" if bad else "the loss of another process is"
            raise DataError(
                f"pretrain: {what} not finite at step {place.step} (keyframes {', '.join(prepared.keyframes)}; kept in "
                f"{folder}). The last checkpoint is untouched. Lower the learning rate, set optimizer.clip_norm, or "
                "leave such steps out with pretrain.not_finite=skip."
            )
        for name, buffer in self._task.distiller.named_buffers():
            buffer.copy_(buffers[name])
        self._engine.drop_gradients()
        self._course.skipped.append(note)

    def _save(self, done: int, *, wait: bool) -> None:
        self._watch.at("checkpoint", done)
        start_s = time.monotonic()
        shard = {"optimizer": self._engine.state_shard(), "rng": rng_state()}
        tensors = {f"{name}-{self._world.rank:05d}": part for name, part in shard.items()}
        if self._world.is_first:
            tensors["model"] = self._task.distiller.state_dict()
        # Copies: the training goes on while they are written.
        notes: dict[str, Any] = {name: list(values) for name, values in vars(self._course).items()}
        notes["loss_scale"] = self._engine.scaler_state()
        checkpoint = Checkpoint(done, tensors, notes, self._mean_loss(done))
        out, place = self._task.out, self._place
        keep = Keep(self._execution.keep_checkpoints, self._execution.keep_best)

        def write(checkpoint: Checkpoint) -> None:
            size_bytes = save_checkpoint(out, checkpoint, place, keep)
            for tracker in self._trackers:
                tracker.checkpoint(time.monotonic() - start_s, size_bytes)

        if self._background is None:
            write(checkpoint)
        else:
            self._background.start(write, checkpoint)
            if wait:
                self._background.finish()
        if wait:
            # Whoever leaves first would have torchrun end the one that commits.
            wait_for_all()

    def _mean_loss(self, done: int) -> float | None:
        """Of as many steps before `done` as lie between two checkpoints, so that all are compared over equal numbers.

        Of this process's share of them. None where fewer were made, or were skipped.
        """
        every = self._task.recipe.checkpoint_every
        losses = [entry["loss"] for entry in self._course.history if entry["step"] >= done - every]
        return math.fsum(losses) / every if len(losses) == every else None

    def _resume(self) -> int:
        """Take the newest sound checkpoint, the same in every process; return the step to go on from."""
        out, distiller, world = self._task.out, self._task.distiller, self._world
        found = find_checkpoint(out) if world.is_first else None
        id = tell_all(found[0].id if found else "", world)
        if not id:
            return 0
        if found:
            checkpoint = found[1]
        else:
            artifact = open_artifact(out.store, out.stage, id)
            if artifact is None:
                raise DataError(f"checkpoint {id[:12]} is gone: does another run of the same recipe go on beside this?")
            checkpoint = read_checkpoint(out, artifact)
        distiller.load_state_dict(checkpoint.tensors["model"])
        shards = [tensors for name, tensors in checkpoint.tensors.items() if name.startswith("optimizer-")]
        self._engine.restore(join_state(shards, self._engine.shapes))
        if own := checkpoint.tensors.get(f"rng-{world.rank:05d}"):
            set_rng_state(own)
        notes = checkpoint.notes
        self._course = Course(notes["history"], notes["skipped"], notes.get("overflowed", []))
        self._engine.restore_scaler(notes.get("loss_scale", {}))
        return checkpoint.step

    def _record(self, num_steps: int, wall_s: float, cpu_s: float, loader: Loader) -> None:
        """What the run cost, into its record."""
        world, samples = self._world, num_steps * self._task.order.batch_size
        cpu_h = sum_processes(cpu_s, world) / 3600
        cuda = world.device.type == "cuda"
        self._task.out.recorder.facts.update(
            {
                "processes": world.size,
                "zero_stage": self._execution.zero_stage,
                "accumulate": self._execution.accumulate,
                "samples": samples,
                "samples_per_s": round(samples / max(wall_s, 1e-9), 3),
                "data_wait_share": round(loader.wait_s / max(wall_s, 1e-9), 4),
                "training_cpu_h": round(cpu_h, 5),
                "training_gpu_h": round(world.size * wall_s / 3600, 5) if cuda else 0.0,
                "peak_gpu_mb": round(torch.cuda.max_memory_allocated() / 2**20, 1) if cuda else 0.0,
            }
        )


def _copies(distiller: Distiller) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in distiller.named_buffers()}
