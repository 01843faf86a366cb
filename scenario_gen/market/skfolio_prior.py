"""Scenarios of ours as a ``prior_estimator`` of skfolio, weights included.

Imports skfolio, so it is loaded when it is asked for.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
import sklearn.utils.validation as skv
from numpy.typing import NDArray
from skfolio.prior import BasePrior, ReturnDistribution

from scenario_gen.errors import DataError


class GivenScenarios(BasePrior):  # type: ignore[misc]  # skfolio has no types
    """The scenarios that ``fit`` is given, each with its weight; nothing is estimated but means and covariances.

    Without weights it says what skfolio's ``EmpiricalPrior`` says.
    """

    def __init__(self, weights: NDArray[np.float64] | None = None) -> None:
        self.weights = weights

    def fit(self, X: pd.DataFrame, y: None = None, **fit_params: Any) -> Self:
        """Take the returns [scenario, asset] as the distribution.

        Raises:
            DataError: there is not one weight for each row, as in a cross-validation, which cuts the rows.
        """
        returns = skv.validate_data(self, X)
        weights = self.weights
        if weights is not None and len(weights) != len(returns):
            raise DataError(
                f"{len(returns):,} scenarios with {len(weights):,} weights",
                expected="the returns and the weights of the same scenarios",
                fix="fit on all scenarios; for a part of them (cross-validation) take scenarios.alike()",
            )
        covariance = np.cov(returns, rowvar=False, aweights=weights)
        self.return_distribution_ = ReturnDistribution(
            mu=np.average(returns, axis=0, weights=weights),
            covariance=np.atleast_2d(covariance),
            returns=returns,
            sample_weight=weights,
        )
        return self
