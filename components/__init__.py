"""The steps of the pipelines as Kubeflow container components: image, ports, resources and retries, and no logic.

Each calls the command of its stage, `olivine <stage> --executor-input {{$}}`, which is all that the image must hold.
"""
