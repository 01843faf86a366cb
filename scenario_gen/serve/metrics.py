"""What the server counts of itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from scenario_gen.serve.jobs import JobStore

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServerMetrics:
    """Counts of one server; of its jobs as they are when they are asked for."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "scenario_gen_requests", "Requests that were answered.", ("method", "route", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "scenario_gen_request_seconds", "Time to the answer's end.", ("route",), buckets=SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._registry.register(self)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; ``route`` is the pattern of a path, so that no name makes a series of its own."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield how many jobs are in each state."""
        family = GaugeMetricFamily("scenario_gen_jobs", "Jobs by state.", labels=["state"])
        for state, count in self._store.counts().items():
            family.add_metric([state], count)
        yield family

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)
