"""How Ray Tune hands its workers from trial to trial, mended.

Works on Ray Tune's controller, by one of its private methods (looked at in ray 2.60). A worker that is done with its
trial is given to a trial whose own worker is just starting, and that one is thrown away. Where trials are shorter than
the start of a worker, which takes seconds, one worker so does them all, and the other nodes never get to run one. Here
a trial whose worker starts waits for it, and the idle worker gets the next trial. A trial whose worker still waits for
a place takes the idle worker as before: otherwise that would keep the place for ever.
"""

from functools import wraps

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

_reuse = TuneController._maybe_reuse_cached_actor


@wraps(_reuse)
def _let_workers_start(controller: TuneController, trial: Trial) -> bool:
    own = controller._trial_to_actor.get(trial)
    if (
        own is not None
        and trial not in controller._resetting_trials
        and controller._actor_manager.is_actor_started(own)
    ):
        return False
    return bool(_reuse(controller, trial))


def let_workers_start() -> None:
    """Mend the controller, for this process."""
    TuneController._maybe_reuse_cached_actor = _let_workers_start  # type: ignore[method-assign, assignment]
