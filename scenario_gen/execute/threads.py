"""One thread for numpy's linear algebra where matrices are small.

OpenBLAS splits even a product of 1000 x 40 numbers, and its threads wait for each other by spinning: on two idle cores
that gains nothing, and beside other work on them 500 logistic fits took 40 s instead of .7 s. Owns nothing of torch,
which has threads of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold numpy's linear algebra to one thread; what it was before comes back."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through the loaded libraries: some milliseconds
