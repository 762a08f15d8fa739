"""Distillation in plain PyTorch: noise, targets, losses, teachers and the trainer.

Works on tensors and config models, in a notebook as well as in a trial. It returns its epochs to the caller. Knows
nothing of Ray, MLflow or Optuna.
"""
