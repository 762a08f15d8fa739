"""Distillation in plain PyTorch: noise, targets, losses, teachers and the trainer.

Works on tensors and config models, in a notebook as well as in a trial. The trainer returns a record of each epoch to
its caller. Knows nothing of Ray, MLflow or Optuna.
"""
