"""The top groups and the others: merging them loses nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowtally.answers.overall_statement import keep_top
from flowtally.answers.statement import total
from flowtally.usage.values import Sum

sums = st.lists(
    st.builds(
        Sum,
        span=st.integers(0, 3),
        by=st.tuples(st.sampled_from("abcde"), st.sampled_from("xy")),
        bytes_up=st.integers(-5, 2**70),
        bytes_down=st.integers(0, 9),
        requests=st.integers(0, 9),
    ),
    max_size=20,
    unique_by=lambda one: (one.span, one.by),
)


@given(sums, st.integers(1, 12), st.sampled_from(["bytes", "requests"]))
def test_the_kept_and_the_others_are_the_whole_in_every_span(found: list[Sum], top: int, measure: str) -> None:
    kept, others, merged = keep_top(found, top, measure)  # type: ignore[arg-type]
    groups = {one.by for one in found}
    assert len({one.by for one in kept}) == min(top, len(groups)) == len(groups) - merged
    for span in range(4):
        whole = total(one for one in found if one.span == span)
        assert total(one for one in (*kept, *others) if one.span == span) == whole


@given(sums, st.integers(1, 12))
def test_no_other_has_more_than_one_that_was_kept(found: list[Sum], top: int) -> None:
    kept, _, _ = keep_top(found, top, "bytes")
    names = {one.by for one in kept}
    size = {by: total(one for one in found if one.by == by).bytes for by in {one.by for one in found}}
    least = min((size[by] for by in names), default=0)
    assert all(size[by] <= least for by in size.keys() - names)
