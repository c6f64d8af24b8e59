"""How much work fits into a slice, on a clock that the test moves."""

from collections.abc import Iterator

from mlmon_sidecar.recorder.pace import SLICE_NS, Pace, advance


class Machine:
    """Takes so long for the piece of work and so long for each unit of it."""

    def __init__(self, fixed_ns: float, unit_ns: float) -> None:
        self.fixed_ns, self.unit_ns, self.now = fixed_ns, unit_ns, 0.0

    def work(self, pace: Pace, units: int) -> float:
        begun = self.now
        pace.begin()
        self.now += self.fixed_ns + units * self.unit_ns
        pace.end(units)
        return self.now - begun

    def cpu_ns(self) -> int:
        return int(self.now)


def settled(machine: Machine, pace: Pace) -> float:
    return [machine.work(pace, pace.units) for _ in range(200)][-1]


def test_pieces_settle_at_one_slice_on_a_fast_and_on_a_slow_machine() -> None:
    for times in (0.2, 1.0, 4.0):
        machine = Machine(100_000 * times / 4, 300 * times / 4)
        pace = Pace(75.0, fixed=333, least=10, cpu_ns=machine.cpu_ns)
        assert 0.8 * SLICE_NS <= settled(machine, pace) <= 1.2 * SLICE_NS


def test_a_piece_is_never_smaller_than_what_its_fixed_cost_is_worth() -> None:
    """Were the fixed cost taken for the units', a slow machine would do one unit at a time, and then still less."""
    machine = Machine(fixed_ns=3 * SLICE_NS, unit_ns=10_000)
    pace = Pace(300.0, fixed=100, least=50, cpu_ns=machine.cpu_ns)
    settled(machine, pace)
    assert pace.units == 50


def test_one_odd_piece_changes_little_and_a_lasting_change_is_learned() -> None:
    machine = Machine(0, 400)
    pace = Pace(400.0, fixed=0, least=1, cpu_ns=machine.cpu_ns)
    before = pace.units
    machine.unit_ns = 400_000  # a page fault, another process
    machine.work(pace, 10)
    assert pace.units >= 0.9 * before
    machine.unit_ns = 4_000
    assert 0.8 * SLICE_NS <= settled(machine, pace) <= 1.2 * SLICE_NS


def test_pieces_are_done_until_half_of_a_slice_is_spent() -> None:
    machine = Machine(0, 1)
    done: list[int] = []

    def work() -> Iterator[None]:
        for piece in range(7):
            done.append(piece)
            machine.now += SLICE_NS / 5
            yield

    pieces, steps = work(), []
    while len(done) < 7:
        advance(pieces, machine.cpu_ns)
        steps.append(len(done))
    assert steps == [3, 6, 7]
    advance(pieces, machine.cpu_ns)  # to its end, and no further
    assert len(done) == 7
