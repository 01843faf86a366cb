"""Scenarios of several assets that ask how probable a loss of them together is: by plain joint paths, or by splitting.

The scenario's own paths stay plain joint paths, on which strategies trade; those that say how probable the event is are
sampled beside them and not kept. Owns what is refused before a run samples anything, and the stage. Scores nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scenario_gen.errors import DataError, SpecError
from scenario_gen.finding import Finding
from scenario_gen.generators.sections import KronosGenerator
from scenario_gen.joint.walks import BookGenerator
from scenario_gen.pipeline.prepared import Book
from scenario_gen.pipeline.stages import alike
from scenario_gen.pipeline.stress.events import kept_events
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.stress.event import PortfolioEvent, Sampler, truncated
from scenario_gen.stress.portfolio import PortfolioScore, portfolio_in_history
from scenario_gen.stress.rare import Asked, Sampled, sample_probability
from scenario_gen.stress.verdicts import EventResult, OtherModel, event_findings
from scenario_gen.values import cached
from scenario_gen.version import VERSION


def asking(books: Sequence[Book]) -> list[tuple[Book, PortfolioEvent]]:
    """Return the scenarios that ask for an event of several assets, each with its event."""
    asked = [(book, book.first.scenario.portfolio) for book in books]
    return [(book, event) for book, event in asked if event is not None]


def refuse_book_events(study: Study) -> None:
    """Refuse, before anything is sampled, an event whose probability would mean nothing or cannot be had.

    Raises:
        SpecError: the model's tail is cut off.
        DataError: an asset's paths cannot be branched, and the sampler may have to.
    """
    for book, event in asking(study.books):
        scenario, generator = book.first.scenario, generator_of(book)
        try:
            if isinstance(scenario.generator, KronosGenerator) and (words := truncated(event, scenario.generator)):
                raise SpecError(words)
            if scenario.sampler.method != "rejection":
                generator.start(book.first.context, generator.timestamps, 1)
        except (SpecError, DataError) as error:
            error.problem = f"{study.place(scenario.name, 'event')}: {error.problem}"
            raise


def judge_book_events(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Ask how probable each event of several assets is, under the baselines too, and count it in common history.

    Raises:
        CheckError: a price is no number.
        StoreError: the disk refuses.
    """
    asked, parts, findings = asking(study.books), dict[str, dict[str, Any]](), list[Finding]()
    if not asked:
        return results, findings
    limits = study.spec.limits.event_probability
    with study.progress.stage("events of the assets together", len(asked)) as advance:
        for book, event in asked:
            result = _event_of(book, event, study)
            parts[book.name] = {"event": result}
            findings += event_findings(book.name, result, limits.get(book.name))
            advance(1)
    return results.amended_books(parts), findings


def generator_of(book: Book) -> BookGenerator:
    """Return all assets of a book as one generator, whose plain paths are those of the run before candle rules."""
    parts = {asset: ground.coupled for asset, ground in book.grounds.items()}
    coupled = {asset: part for asset, part in parts.items() if part is not None}
    if len(coupled) < len(parts):
        raise AssertionError(f"{book.name} is not coupled")
    return BookGenerator(coupled, {asset: ground.context for asset, ground in book.grounds.items()}, book.first.seed)


def _event_of(book: Book, event: PortfolioEvent, study: Study) -> EventResult:
    others = [
        other
        for other in study.books
        if other.role == "baseline" and all(alike(ground, other.grounds[name]) for name, ground in book.grounds.items())
    ]
    sampler = book.first.scenario.sampler
    models = [(other.name, _sampled(other, event, sampler, f"{book.name}/{other.name}", study)) for other in others]
    aligned = book.first.aligned
    history, like = (None, None)
    if aligned is not None:
        history, like = portfolio_in_history(event, aligned.common, len(book.timestamps))
    return EventResult(
        words=event.in_words,
        functional=event.functional,
        threshold=event.at_least,
        horizon=len(book.timestamps),
        sampled=_sampled(book, event, sampler, book.name, study),
        models=[OtherModel(name, sampled.probability, sampled.method) for name, sampled in models],
        history=history,
        alike=like,
    )


def _sampled(book: Book, event: PortfolioEvent, sampler: Sampler, name: str, study: Study) -> Sampled:
    """Return the probability of an event under a book's generators, kept in the run's folder."""
    generator, plan = generator_of(book), book.first.scenario.paths
    asked = Asked(generator, book.first.context, generator.timestamps, generator.seed, name)

    def compute() -> Sampled:
        score = PortfolioScore.of(event, generator)
        return sample_probability(asked, sampler, score, count=plan.count, block=plan.block)

    key = {
        "code": VERSION,
        "what": "an event of several assets",
        "event": event.model_dump(mode="json"),
        "sampler": sampler.model_dump(mode="json"),
        "generator": dict(generator.identity),
        "contexts": [context.sha256() for context in generator.contexts.values()],
        "timestamps": [[stamp.isoformat() for stamp in part.timestamps] for part in generator.parts.values()],
        "paths": plan.model_dump(mode="json"),
        "name": name,
    }
    return cached(kept_events(study.store), key, Sampled, compute)
