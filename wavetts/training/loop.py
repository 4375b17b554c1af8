"""Entry point of training: trains a model on a preprocessed corpus."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from wavetts.config import Config
from wavetts.errors import UserError
from wavetts.extras import require
from wavetts.files import locked
from wavetts.model.device import float32_products, own_random_numbers, torch_threads
from wavetts.training.distributed import join_processes
from wavetts.training.objective import Objective
from wavetts.training.trainer import Trainer


def train(
    config: Config,
    data_dir: Path,
    run_dir: Path,
    resume: bool = False,
    init_from: Path | None = None,
    device: str = "auto",
    threads: int = 0,
    voice_folders: Sequence[Path] = (),
    objective: Objective | None = None,
) -> None:
    """Trains a model on a preprocessed corpus, alone or as one of the processes that `torchrun` started.

    The run folder gets config.yaml, metrics.jsonl, tensorboard/, state-XXXXXXXX.pt (the last two), model.safetensors
    (averaged weights of the last save) and best.safetensors (of the best held-out bits per sample).

    Args:
        config: the model and its training.
        data_dir: the output folder of `wavetts preprocess`.
        run_dir: the run folder, created if missing.
        resume: continue from the newest state of the folder, bit for bit as if it had not ended; only `train.*` fields
            of the config may differ.
        init_from: start from the weights of this model file or run folder.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: number of CPU threads of torch; 0: torch's default.
        voice_folders: folders of voices to search for the base of `init_from`.
        objective: the objective; None: maximum likelihood, with the options of the config.

    Raises:
        UserError: data, config, run folder or device do not fit, a package is missing, a file cannot be read or
            written, or the loss was not finite for `train.max_bad_steps` steps in a row.
        SystemExit: 128 plus the signal's number, after SIGINT or SIGTERM and a last checkpoint.
    """
    require("training", "train", "tensorboard", "matplotlib")
    if resume and init_from is not None:
        raise UserError("a run that is resumed goes on with its own weights; leave out the model to start from")
    with (
        torch_threads(threads),
        join_processes(device) as processes,
        warnings.catch_warnings(),
        float32_products("high" if config.train.tf32 else None),
        own_random_numbers(processes.device),
    ):
        if not processes.is_main:
            warnings.simplefilter("ignore")  # The main process says the same.
        paths = (Path(data_dir), Path(run_dir))
        # Two that write one folder would lose each other's states.
        alone = locked(paths[1] / ".lock", str(run_dir)) if processes.is_main else nullcontext()
        with alone:
            Trainer(config, *paths, resume, init_from, processes, voice_folders, objective).run()
