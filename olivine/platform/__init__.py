"""What talks to Kubeflow Pipelines: the compiled pipelines, and the runner that runs them on this machine."""
