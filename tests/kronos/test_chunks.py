"""Chunks cover every path once, whatever the threads; a failure stops all of them; progress counts bars, not chunks."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from hypothesis import given, settings, strategies as st

from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.kronos.decode import MEMORY_AT_ONCE, Chunks, FastDecoder, StoppedError, plan_chunks
from scenario_gen.kronos.sampling import SamplingRule

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@given(st.integers(1, 40), st.integers(1, 400), st.integers(1, 64), st.sampled_from(["cpu", "cuda"]))
@settings(max_examples=200, deadline=None)
def test_every_path_of_every_context_is_in_exactly_one_chunk(
    contexts: int, repeat: int, most: int, device: str
) -> None:
    jobs, size = plan_chunks(contexts, repeat, torch.device(device), most)
    seen = torch.zeros(contexts, repeat)
    for which, rows in jobs:
        seen[which, rows] += 1
        assert rows.stop - rows.start <= size <= most
        assert (which.stop - which.start) * size <= max(most, size)
    assert torch.equal(seen, torch.ones(contexts, repeat))


def test_chunks_of_one_context_are_as_even_as_can_be() -> None:
    jobs, size = plan_chunks(1, 1000, CPU, 256)
    assert size == 250
    assert len(jobs) == 4


def test_contexts_of_some_paths_step_together_as_far_as_a_chunk_holds_them() -> None:
    jobs, size = plan_chunks(10, 99, CPU, 512)
    assert size == 99
    assert [which.stop - which.start for which, _ in jobs] == [5, 5]


def test_progress_hears_of_a_bar_once_every_chunk_has_made_one() -> None:
    heard: list[int] = []
    chunks = Chunks(heard.append, count=3)
    for _ in range(3 * 5):
        chunks.step()
    assert heard == [1] * 5


def test_every_worker_computes_with_one_thread_and_the_caller_with_as_many_as_before(two_threads: object) -> None:
    def work(_: int) -> tuple[int, str]:
        meeting.wait(timeout=30)  # both must be at work at once
        return torch.get_num_threads(), threading.current_thread().name

    meeting = threading.Barrier(2)
    found = Chunks(lambda _: None, 2).run(work, [0, 1], CPU)
    assert [threads for threads, _ in found] == [1, 1]
    assert len({name for _, name in found}) == 2
    assert torch.get_num_threads() == 2


def test_no_more_chunks_run_at_once_than_memory_has_room_for(two_threads: object) -> None:
    def work(_: int) -> int:
        with lock:
            at_work.append(1)
            most.append(len(at_work))
        time.sleep(0.02)
        with lock:
            at_work.pop()
        return most[-1]

    lock, at_work, most = threading.Lock(), [], []  # type: ignore[var-annotated]
    Chunks(lambda _: None, 4).run(work, range(4), CPU, bytes_each=MEMORY_AT_ONCE // 2 + 1)
    assert max(most) == 1


def test_when_one_chunk_fails_the_others_stop_and_its_error_is_raised(two_threads: object) -> None:
    chunks = Chunks(lambda _: None, 2)
    started, stopped = threading.Event(), threading.Event()

    def work(job: int) -> None:
        if job == 0:
            started.wait(timeout=30)
            raise ZeroDivisionError
        started.set()
        try:
            while True:
                chunks.step()
        except StoppedError:
            stopped.set()
            raise

    with pytest.raises(ZeroDivisionError):
        chunks.run(work, [0, 1], CPU)
    assert stopped.is_set()


@pytest.mark.parametrize(("contexts", "repeat"), [(1, 300), (3, 300), (11, 99)])
def test_the_number_of_threads_never_changes_a_bit(contexts: int, repeat: int, two_threads: object) -> None:
    """Of the embedded model; products of a few numbers may be split otherwise among threads."""
    g = torch.Generator().manual_seed(5)
    s1, s2 = (torch.randint(512, (contexts, 20), generator=g) for _ in range(2))
    stamps = torch.zeros(contexts, 26, 11, dtype=torch.int64)  # with the marks that nano reads
    uniforms = torch.rand(contexts * repeat, 6, 2, generator=g)

    nano = open_checkpoint("nano")

    def run() -> torch.Tensor:
        decoder = FastDecoder(nano)
        new = decoder.sample_tokens(s1, s2, stamps[:, :20], stamps[:, 20:], uniforms, SamplingRule())
        return decoder.decode_tokens(s1, s2, *new)

    with_two = run()
    torch.set_num_threads(1)
    assert torch.equal(run(), with_two)


def test_a_decoder_that_is_used_again_gives_the_same_paths(tiny_checkpoint: Checkpoint) -> None:
    g = torch.Generator().manual_seed(6)
    s1, s2 = (torch.randint(4, (1, 12), generator=g) for _ in range(2))
    stamps = torch.zeros(1, 30, 5, dtype=torch.int64)
    uniforms = torch.rand(40, 18, 2, generator=g)  # 18 bars: more than one page of own bars
    decoder = FastDecoder(tiny_checkpoint)
    args = (s1, s2, stamps[:, :12], stamps[:, 12:])
    first = decoder.sample_tokens(*args, uniforms, SamplingRule())
    decoder.sample_tokens(*args, uniforms.flip(0), SamplingRule())  # leaves other bars in the buffers
    again = decoder.sample_tokens(*args, uniforms, SamplingRule())
    assert torch.equal(torch.stack(first), torch.stack(again))
