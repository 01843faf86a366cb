from scenario_gen.generators.filtered import FEWEST
from scenario_gen.generators.sections import MIN_FIT, NAMED_MODELS
from scenario_gen.kronos.registry import known_models


def test_the_names_that_a_spec_may_use_are_the_known_models() -> None:
    assert tuple(model.name for model in known_models()) == NAMED_MODELS


def test_a_spec_may_ask_for_a_fit_to_as_few_bars_as_the_engine_takes() -> None:
    assert MIN_FIT == FEWEST
