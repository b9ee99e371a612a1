"""A training on many nodes as one step of a pipeline: the step supervises a TrainJob of Kubeflow Trainer v2."""
