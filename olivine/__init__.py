"""OLIVINE: image-to-LiDAR contrastive distillation with visual foundation models, as a system that people can run."""

__version__ = "0.1.0"
