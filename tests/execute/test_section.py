"""Where work is done, as it is written in a spec and typed after --on."""

from __future__ import annotations

import pytest

from scenario_gen.errors import SpecError
from scenario_gen.execute.queue import HERE
from scenario_gen.execute.section import Execute, open_queue, place_of


@pytest.mark.parametrize(
    ("text", "kind", "workers"),
    [
        ("local", "local", None),
        ("processes", "processes", None),
        ("processes:4", "processes", 4),
        ("ray", "ray", None),
        ("ray:8", "ray", 8),
    ],
)
def test_what_is_typed_is_a_place_and_a_number_of_workers(text: str, kind: str, workers: int | None) -> None:
    assert place_of(text) == Execute.model_validate({"kind": kind, "workers": workers})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("proceses:4", "got 'proceses:4'; did you mean 'processes'?"),
        ("", "got ''"),
        ("processes:", "processes with a whole number from 1 to 4096"),
        ("processes:0", "processes with a whole number from 1 to 4096"),
        ("processes:-1", "processes with a whole number from 1 to 4096"),
        ("processes:two", "processes with a whole number from 1 to 4096"),
        ("ray://head:10001", "give --on ray, and the address as RAY_ADDRESS"),
        ("ray:5000", "ray with a whole number from 1 to 4096"),
        ("local:1", "local with no number: it is one process"),
    ],
)
def test_what_names_no_place_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(SpecError, match="local, processes, processes:4, ray or ray:8") as raised:
        place_of(text)
    assert words in str(raised.value)


def test_without_a_word_on_it_work_is_done_here_in_the_order_of_its_units() -> None:
    with open_queue(Execute()) as queue:
        assert queue is HERE
        assert [*queue.answers(abs, [-3, 2])] == [(0, 3), (1, 2)]


def test_processes_are_as_many_as_asked_for() -> None:
    with open_queue(place_of("processes:3")) as queue:  # they start when there is work
        assert queue.workers == 3


@pytest.mark.parametrize("gpus", [0, 0.5, 0.3, 0.0001, 1, 2])
def test_gpus_of_a_worker_are_a_share_of_one_or_whole(gpus: float) -> None:
    assert Execute(kind="ray", gpus=gpus).gpus == gpus


@pytest.mark.parametrize("gpus", [1.5, 0.00001, 0.12345])
def test_gpus_that_ray_cannot_count_are_refused_before_a_cluster_starts(gpus: float) -> None:
    with pytest.raises(ValueError, match="a share of one with at most four digits, or a whole number"):
        Execute(kind="ray", gpus=gpus)
