"""What pretraining and fine-tuning share: order of samples, optimiser, schedule, checkpoints, signals."""
