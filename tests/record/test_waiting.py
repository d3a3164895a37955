"""What waits for the disk, against a disk that takes it, fails, or stands still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netbootd.record.standing import Standing
from netbootd.record.waiting import Waiting

steps = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.sampled_from("abcde"), st.integers(0, 9)),
        st.tuples(st.just("forget"), st.sampled_from("abcde")),
        st.tuples(st.sampled_from(["take", "written"])),
    ),
    max_size=60,
)


@given(before=st.sets(st.sampled_from("abcde")), doing=steps)
def test_the_disk_has_what_is_remembered_and_nothing_waits_for_what_is_in_neither(before, doing):
    disk = {("standing", key): Standing() for key in before}
    remembered = dict(disk)
    taken: dict | None = None
    last: set = set()  # the names that were taken last, written since or not
    waiting = Waiting()
    waiting.found("standing", before)
    for what, *rest in (*doing, ("take",), ("written",)):
        match what, *rest:
            case "keep", key, number:
                remembered["standing", key] = Standing(output=str(number))
                waiting.keep(("standing", key), remembered["standing", key])
            case "forget", key:
                remembered.pop(("standing", key), None)
                waiting.keep(("standing", key), None)
            case ("take",):  # a second one is after a write that failed
                taken = dict(waiting.take())
                last = set(taken)
                assert taken.keys() <= remembered.keys() | disk.keys()
            case ("written",) if taken is not None:
                for name, value in taken.items():
                    if value is None:
                        del disk[name]
                    else:
                        disk[name] = value
                waiting.written()
                taken = None
        assert waiting._waiting.keys() <= remembered.keys() | disk.keys() | last
    assert disk == remembered
    assert len(waiting) == 0
