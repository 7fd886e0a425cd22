import time

from projections.turning import Turning, Turns


def test_the_slowest_loop_counts_and_one_that_is_in_trouble_makes_the_process_not_ready() -> None:
    quick, slow = Turning(), Turning()
    slow.at = quick.at - 100
    quick.turn(leads=True)
    turns = Turns.of({"quick": quick, "slow": slow})
    assert (turns.slowest_at, turns.ready) == (slow.at, True)
    assert turns.as_state() == {"leads": 1, "troubled": []}
    slow.turn(troubled=True)
    turns = Turns.of({"quick": quick, "slow": slow})
    assert (turns.slowest_at, turns.ready) == (quick.at, False)
    assert turns.as_state() == {"leads": 1, "troubled": ["slow"]}
    assert time.monotonic() - turns.slowest_at < 60
