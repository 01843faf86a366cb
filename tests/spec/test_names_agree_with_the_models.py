from scenario_gen.generators.sections import NAMED_MODELS
from scenario_gen.kronos.registry import known_models


def test_the_names_that_a_spec_may_use_are_the_known_models() -> None:
    assert tuple(model.name for model in known_models()) == NAMED_MODELS
