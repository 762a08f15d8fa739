"""How Ray Tune gives its idle workers to trials.

Works on Ray Tune's controller. Ray gives a worker whose trial has ended to a trial whose own worker is still starting,
and throws that starting worker away. The start of a worker takes seconds. Where trials are shorter than that, one
worker runs all of them, and the other nodes never run one. Here a trial whose worker is starting waits for it, and the
idle worker gets the next trial. A trial whose worker still waits for resources takes the idle worker as before, because
otherwise the idle worker would keep these resources for ever.

Written for ray 2.60. It replaces the private method `TuneController._maybe_reuse_cached_actor`. With another version,
or where the controller has other parts, nothing is replaced and Ray reuses workers in its own way: the same results,
more slowly for short trials.
"""

import inspect
from functools import wraps

import ray
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from study.adapters.versions import is_version

WRITTEN_FOR = "2.60"

METHOD = "_maybe_reuse_cached_actor"
ATTRIBUTES = ("_trial_to_actor", "_resetting_trials", "_actor_manager")
"""What is used of the controller."""

_reuse = getattr(TuneController, METHOD, None)


def can_let_workers_start() -> bool:
    """Whether the private parts are those this adapter was written for."""
    return (
        is_version(ray.__version__, WRITTEN_FOR)
        and callable(_reuse)
        and list(inspect.signature(_reuse).parameters) == ["self", "trial"]
        and set(ATTRIBUTES) <= set(TuneController.__init__.__code__.co_names)
    )


def let_workers_start() -> bool:
    """Change the controller, for this process, where that is possible.

    Returns:
        whether it was.
    """
    if not can_let_workers_start():
        return False
    assert _reuse is not None
    reuse = _reuse

    @wraps(reuse)
    def wait_for_own_worker(controller: TuneController, trial: Trial) -> bool:
        own = controller._trial_to_actor.get(trial)
        if (
            own is not None
            and trial not in controller._resetting_trials
            and controller._actor_manager.is_actor_started(own)
        ):
            return False
        return bool(reuse(controller, trial))

    setattr(TuneController, METHOD, wait_for_own_worker)
    return True
