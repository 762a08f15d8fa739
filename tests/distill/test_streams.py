"""Every source of chance has a generator of its own."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from study.config import MAX_SEED
from study.distill.streams import Streams, derived

PURPOSES = ("order", "sigma", "selection", "noise", "initial weights", "dropout")


def test_no_two_purposes_or_seeds_share_a_derived_seed() -> None:
    seeds = [*range(200), MAX_SEED - 1, MAX_SEED]
    assert len({derived(seed, purpose) for seed in seeds for purpose in PURPOSES}) == len(seeds) * len(PURPOSES)


@given(st.integers(0, MAX_SEED), st.sampled_from(PURPOSES))
def test_a_derived_seed_is_always_the_same_and_fits_torch(seed: int, purpose: str) -> None:
    assert derived(seed, purpose) == derived(seed, purpose)
    torch.Generator().manual_seed(derived(seed, purpose))


def test_a_draw_changes_no_other_generator() -> None:
    for drawn in Streams.of(0).state_dict():
        streams = Streams.of(0)
        torch.rand(100, generator=getattr(streams, drawn))
        moved = {
            name
            for name, state in streams.state_dict().items()
            if not torch.equal(state, Streams.of(0).state_dict()[name])
        }
        assert moved == {drawn}


def test_generators_continue_from_a_stored_state() -> None:
    streams = Streams.of(3)
    torch.rand(10, generator=streams.noise)
    state = {name: value.clone() for name, value in streams.state_dict().items()}
    later = torch.rand(5, generator=streams.noise)
    restored = Streams.of(99)
    restored.load_state_dict(state)
    assert torch.equal(torch.rand(5, generator=restored.noise), later)
