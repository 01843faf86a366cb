"""Every sentence that carries a judgement, as a template; and the cleaning of names that users chose.

Owns the wording: shares are shares of generated paths, a PASS says what was looked for, nothing is promised.
Does not know how numbers are formatted or where a sentence stands.
"""

from __future__ import annotations

import string
import unicodedata
from dataclasses import dataclass, replace

from scenario_gen.finding import Label
from scenario_gen.report.numbers import Shown, count

FORBIDDEN = (
    "safe", "robust", "proven", "guarantee", "guaranteed", "confident", "realistic", "optimal", "accurate",
    "best strategy", "risk-free", "overfit", "probability of", "chance of", "expected return", "will",
)  # fmt: skip
NAME_LIMIT = 60
PLAIN_CONTROLS = "\n\t"

SECTIONS: tuple[tuple[str, str], ...] = (
    ("generator", "Can the generator be trusted here?"),
    ("integrity", "Are the candles sound?"),
    ("facts", "Do they behave like this market?"),
    ("outcomes", "How did the strategies fare?"),
    ("tail", "How bad can it get?"),
    ("paired", "Better than holding, or than chance?"),
    ("across", "Does it depend on the generator?"),
    ("stress", "What would have to happen?"),
    ("drill", "What does a bad path look like?"),
    ("params", "Was the choice of parameters lucky?"),
    ("exec", "How much do execution assumptions matter?"),
    ("repro", "Can this be run again?"),
)
BOOK_SECTION = ("book", "Do the assets move together as they should?")  # of a run of several assets, after the facts

CARDS = {  # check -> heading of its card
    "limits": "Declared limits",
    "calibration": "Generator: calibration",
    "facts": "Generator: stylized facts",
    "candles": "Candle integrity",
    "overfitting": "Overfitting",
    "training overlap": "Training overlap",
    "joint_calibration": "Assets together: calibration",
}

LEADS = {
    "book": "Path k of every asset is one future. Each asset is judged above as if it had come alone; here "
    "only what lies between them is.",
    "generator": "Forecasts of the past, set beside what came: the real future ranks among the paths as one of "
    "them, or it does not. And how volatile each generator’s paths are.",
    "integrity": "Every raw bar is checked before anything is repaired. The table is an account: what was "
    "generated equals what was kept, repaired and rejected.",
    "facts": "What came, ranked among the paths of its own context, judges the generator: a change of regime misleads "
    "nobody. Beneath it the paths beside all of history, by the same estimators, up to the context’s end. A difference "
    "of 0 cannot be told apart, of ½ is complete.",
    "outcomes": "Every strategy on the same paths, in each scenario and on each baseline generator.",
    "tail": "How often, and how deep: shares and quantiles of generated paths, each with its 95% interval.",
    "paired": "Differences on the same path, so that the market’s luck cancels.",
    "across": "A conclusion that holds on one generator only is a conclusion about that generator.",
    "stress": "Stress by design, each beside the paths that it is compared with. A probability is the generator’s own.",
    "drill": "Five named paths per strategy, chosen by rule and not by hand: the worst, three quantiles of "
    "the total return, and the highest. Hollow candle: close above open; filled: below.",
    "params": "How many parameter sets were tried. Trials count parameter sets, never paths.",
    "exec": "The same trades with other costs, and with another order of events inside the bar.",
    "repro": "What is needed to get the same numbers again.",
}

ABSENT = {
    "book": "Not judged: no forecast was made of the assets together. Leave checks.calibration at true.",
    "facts": "Not judged: this run compared no paths with real windows. Leave checks.facts at true, with at least 20 "
    "paths and a history of four horizons and more.",
    "paired": "Not judged: this run compared no strategies path by path. Run the spec again with --overwrite.",
    "across": "Not judged: the run has one generator. Add baselines: [bootstrap] to the spec, or a scenario with "
    "another temperature.",
    "stress": "Not asked: no scenario of this run stresses the market by design.",
    "params": "Not judged: one parameter set per strategy was tried. Give a list of values, for example "
    "params: {fast: [10, 20]}, to try a grid.",
    "params grid": "Not judged: this run did not try its parameter sets on history. Run the spec again with "
    "--overwrite.",
    "exec": "Not judged: the run used one set of costs, and no strategy has both a stop and a target. "
    "Change broker.fees, broker.slippage or broker.fill in a scenario to see what they do.",
    "calibration": "Not judged on this history: no rolling-origin test was run, so whether the bands are too "
    "narrow or too wide is unknown. checks.calibration: true runs it.",
    "facts card": "Not judged: no stylized facts were computed. checks.facts: true computes them.",
    "overfitting": "Not judged: {sets} tried, and none of them on history. Run the spec again with --overwrite.",
    "training overlap": "The data cannot say: this run states no dates for the checkpoint’s training data, so "
    "memory of the context cannot be told apart from skill.",
    "limits": "Not judged: the spec declares no limits. Add limits: {{max_drawdown: 0.25}} to have them judged.",
}

HEADLINE_AHEAD = (
    "Looks ahead: {names}. Such a rule decides by bars that it cannot know yet, so its numbers on this page mean "
    "nothing; “How did the strategies fare?” names bar, path and kind."
)
HEADLINE_UNFILLED = "Of {names} no wanted order could be filled on any path; figures of an idle account say nothing."
HEADLINE_LIMIT = (
    "On {paths} generated paths of {horizon} in scenario {scenario}, {none}{event} on {high} for {high_name}{rest}."
)
HEADLINE_NONE = "no strategy’s drawdown reached {limit} on any path, and "
EVENTS = {"max_drawdown": "drawdown reached {limit}", "probability_of_loss": "the return was negative"}
REST = " and on {low} for {low_name}"
FAULT_UNJUDGED = "The generator’s calibration was not judged here: falls may be milder on this page than in reality."
FAULT_LABEL = "Of the generator’s calibration the worst label is {label}."
FAULT_CALIBRATION = "Set beside what came, the generator gets {label} for {what}{direction}"
FAULT_FACTS = "beside real windows, {label} for {what}"
FAULT_RANKED = "facts of what came: {label} for {what}"
FAULT_BOTH = "{calibration}; {facts}."
FAULT_ONE = "{fault}."
MILDER, DEEPER = ": falls may be milder here than in reality", ": falls may be deeper here than in reality"
FAULT_CANDLES = "{bars} of raw bars broke a candle rule, so what the paths show rests on repaired or fewer candles."
FAULT_NONE = "No fault of the generator was found by the tests listed; section 1 says what they were."

FACTS_FOUND = (
    "{count} of {all} facts of {scenario} get {label} beside real windows of this market. Furthest off: {fact}, real "
    "{real}, paths {paths}."
)
FACTS_RANKED = (
    "{count} of {all} facts of {scenario} get {label} by what came after its own contexts. Furthest off: {fact}, what "
    "came {real}, paths {paths}."
)
FACTS_RANKED_PASSED = "No difference found in {all} facts of {scenario}, ranked over {windows} forecasts of the past."
FACTS_PASSED = (
    "No difference found in {all} facts of {scenario} that the data can judge, beside {windows} real windows."
)
FACTS_SCORES = "The ensemble of {scenario} as a whole gets {label}: {score}."
FACTS_COUNT = (
    "{scenario}: {paths} paths beside {windows} real windows of {bars} in {clusters} stretches of time. Facts: "
    "{labels}."
)
FACTS_CAPPED = "A FAIL is called WARN here: {why}."
HALVES_SOME = (
    "The yardstick: between its own earlier and later half the market itself differs in {count} of these: {facts}. A "
    "model of one half would be flagged there on the other."
)
HALVES_NONE = "The yardstick: no difference between the market's own earlier and later half would be flagged here."

CALIBRATION_DONE = (
    "{origins} forecasts of {horizon} with {paths} paths each, none of them overlapping and none later than the "
    "context. A mean rank off by {mde} would be found four times in five."
)
ORIGIN_FACTS = (
    "Each fact of what came is ranked among the paths of its own context, over {origins} forecasts of {bars}: "
    "{labels}. So the level of volatility is judged too, and a change of regime misleads nobody."
)
ORIGIN_FACTS_SHORT = (
    "These forecasts reach {horizon} ahead, the paths of the run {run}: {count} of {all} facts need longer ones and "
    "are {label} here."
)
ORIGIN_FACTS_SHORT_NONE = (
    "These forecasts reach {horizon} ahead, the paths of the run {run}; no fact needs longer ones."
)
ORIGIN_FACTS_LONGER = (
    "With {setting} in the spec {more} of them can be judged, and it takes longer: {times} times as many bars are "
    "sampled."
)
ORIGIN_FACTS_NO_GAIN = "{longest}, the most that the run and this history allow, is too short for them as well."
ORIGIN_FACTS_PATHS = (
    "{paths} paths each, where {wanted} are advised: fewer take less time, rank more coarsely, and leave fewer than "
    "two paths as the tail of 1%. With {setting} {times} times as many are sampled."
)
TAILS_OFF = "Off in {count} of {all} tests that can be judged, {label} for {test}: {reason}."
TAILS_KEPT = (
    "No breach found in {all} tests that can be judged: what came lay beyond as often as forecast, and no further than "
    "that."
)
TAILS_HORIZON = "Over {horizon}, {forecasts} are too few for {count} of {all} tests: these are shown and do not count."
TAILS_FEW = (
    "{forecasts} of the next bar are too few to judge every level ({needed}). With checks: calibration: {{one_step: "
    "1000}} in the spec there are 1\u202f000 of them, and it takes longer."
)
CALIBRATION_OFF = "Off in {count} of {all} numbers of a path, {label} for {worst}: {way}."
CALIBRATION_CARD = (
    "{count} of {all} numbers of a path get {label} over {origins} past forecasts of {scenario}. Worst: {what}, "
    "{share} of what came inside its 90% band."
)
CALIBRATION_TAILS = (
    "{label} for value at risk, over past forecasts of {scenario}: {hits} of {forecasts} lay beyond, {expected} were "
    "to be expected ({test})."
)
CALIBRATION_DRIFT = "{label} for drift alone, over {origins} past forecasts of {scenario}: {reason}."
CALIBRATION_KEPT = (
    "No breach found in {all} numbers of a path over {origins} past forecasts of {scenario}: what came ranks evenly "
    "among the paths."
)
CALIBRATION_TAILS_FEW = " Forecasts are too few to judge value at risk."
CALIBRATION_FEW = (
    "{origins} forecasts of {scenario} are too few to judge; 30 would be needed. A longer history gives more."
)
DRIFT = (
    "{label} Drift over the horizon, in context deviations: paths {generated}, market {realised}. A strategy that is "
    "long earns the generator’s drift."
)
RECALIBRATED = (
    "{titles}: {status}. The {what} up for how {origins} past forecasts of {horizon} erred, {first} to "
    "{last}{inherited}. {meaning}."
)
STATUS = {
    "calibrated": "What it is worth was judged on forecasts that had no part in the fit that they saw; levels beyond "
    "those judged are not calibrated by it",
    "stale": "The last of these forecasts ended before the context did: what came since had no part in it",
    "uncalibrated": "It was not judged here: too few forecasts are left beside those that fit it, or none was asked "
    "for, or the scenario turns a dial of the one that was judged",
}
SHARED_FIT = ", with the forecasts of {scenario}"
DIAL_CHOSEN = (
    "Chosen by calibration: {searched}, now temperature {temperature} and top_p {top_p}, on {origins} forecasts of "
    "{horizon} from {first} to {last}."
)

LIMITS_BREACHED = (
    "{fails} of {all} (strategy × scenario × limit) breach: most of all {strategy} in {scenario}, where "
    "{measured}; {allowed}."
)
LIMIT_SHARE = "{event} on {share}"
LIMIT_FIGURE = "{title} is {figure}"
LIMITS_OPEN = "No breach shown, and {open} of {all} too close to tell with these paths; {allowed}."
LIMITS_KEPT = "No breach found in {all}, on the interval of each share; {allowed}. {capped}"
LIMITS_UNJUDGED = "The data cannot say: the run has no figure to hold against the declared limits; {allowed}."
ALLOWED = {
    "max_drawdown": "a drawdown of {limit} is allowed on at most {share} of paths",
    "probability_of_loss": "a loss is allowed on at most {share} of paths",
}
FLOOR, CEILING = "{title} must be {limit} at least", "{title} may be {limit} at most"
CAPPED = "Held down to {label}, because the generator was not shown to be calibrated."
CAPPED_FAULTS = "Held down to {label}, because of the generator’s faults in sections 1 to 3."
CAP_CAPTION = (
    "A favourable label is held down to {label} where the generator’s calibration failed or is not judged "
    "({scenarios}); an unfavourable one stands."
)
CAP_DOUBTS = (
    "A favourable label is held down to {label} where tails, clustering or asymmetry FAIL beside all of history, and "
    "no forecasts of the past judge them ({scenarios})."
)
CAP_FACTS = (
    "A favourable label is held down to {label} where tails, clustering, asymmetry or scale FAIL by what came, or "
    "paths are copies of history or of one another ({scenarios})."
)

CANDLES_CLEAN = "No raw bar of {bars} broke a rule, over {scenarios}."
CANDLES_ODD = (
    "No raw bar of {bars} broke a rule, over {scenarios}; but {share} of the paths of {scenario} move further than 1.5 "
    "times the largest move of the history ({rules})."
)
CANDLES_REPAIRED = (
    "Most in {scenario}: {share} of raw bars broke a rule. {rejected} of {paths} paths were dropped there."
)

EDGE_PATHS = (
    "{scenario}: {bars} of {all_bars} generated bars, on {paths} of {all_paths} paths, have a price near the edge of "
    "what this model can express, 5 standard deviations from the mean of its context. Beyond it there is nothing, so "
    "tails end there."
)
EDGE_CONTEXT = (
    "{scenario}: {bars} of {all_bars} context bars lie beyond what this model reads, most often in volume; it saw "
    "them cut off."
)

SCOPE_SHARES = (
    "Nothing here is a statement about how often the real market does something. Shares are shares of generated "
    "paths, given this context, model and temperature."
)
SCOPE_QUANTILE = "Quantiles below {smallest} are not read here: with {paths} paths fewer than 20 lie beyond them."
SCOPE_NO_QUANTILE = "No quantile is read here: with {paths} paths fewer than 20 lie beyond any of them."
SCOPE_ABSENT = (
    "{traded}, fills at {fill}, no market impact. Regimes absent from the context and from the training data are "
    "absent here."
)

ACCOUNT_PATHS = (
    "{paths} paths = {untouched} untouched + {rounded} only rounded + {repaired} repaired + {rejected} rejected."
)
ACCOUNT_BARS = "{bad} of {bars} raw bars broke a rule ({share})."
REPAIR_NOTHING = "No kept path was changed, so the results with and without repair are the same."
REPAIR_MOST = (
    "Repair moves the mean return most for {strategy} in {scenario}: by {difference}, on the same paths with and "
    "without it."
)
SHIFTS = (
    "Repaired minus raw, in standard deviations over raw paths, with 95% intervals over paths; in grey the means "
    "before and after. {facts} facts were measured, on at most {paths} changed paths of a scenario: shown are five "
    "that a repair is known to move, and all others that moved by more than a tenth of a standard deviation."
)
CONDITIONAL = (
    "{scenario}: {rejected} of {paths} paths were rejected. The ensemble is conditional on acceptance: it shows the "
    "market of the paths that passed."
)
SHOCKS_PAIRED = (
    "{scenarios} of this run put shocks on their paths, each set beside the same paths unshocked. Neither stylized "
    "facts nor skill are judged there: shocked paths are meant to look like no window of history."
)
SHOCKS_MOST = "Most costly on average: {scenario} for {strategy}, {difference} of total return."
SHOCKS_MENDED = (
    "{scenario}: {bars} shocked bars went beyond what this market allows (its ticks, its price limit) and were brought "
    "back."
)
SAME_ORDER = "The order of the strategies is the same in all {columns}: trust the order more than the number."
OTHER_ORDER = (
    "The order of the strategies depends on the scenario. Where two brackets of a column overlap, their order is "
    "not established."
)
FAN_CAPTION = "{instrument}, {price}, log scale, scenario {scenario}, {generator}, seed {seed}. {realised}"
REALISED_SHOWN = "One realised path cannot confirm or refute a generator."
REALISED_ABSENT = "The history ends with the context, so what really happened is not drawn."

REVERSE_SHARED = (
    "{scenario}: the {paths} paths that break {strategy}, as many as {stories} independent ones, stand out by {traits}."
)
REVERSE_ALIKE = (
    "{scenario}: by no number looked at do the {paths} paths that break {strategy}, as many as {stories} independent "
    "ones, lie half a standard deviation from all paths."
)
REVERSE_NOTHING = "{scenario}, {strategy}: {reason}."
REVERSE_CAPTION = (
    "{scenario}, return since the anchor: the average path of the event, thin those that stand for the others with the "
    "share of the event that each stands for, and dotted the average of all paths."
)


@dataclass(frozen=True)
class Badge:
    """A label inside a sentence."""

    label: Label


Piece = str | Shown | Badge
Sentence = tuple[Piece, ...]


def say(template: str, **values: Piece | Sentence) -> Sentence:
    """Fill a template with words and numbers, keeping the numbers apart so that the page can mark them.

    Raises:
        KeyError: the template names a value that was not given (a defect of the caller).
    """
    pieces: list[Piece] = []
    for literal, name, _, _ in string.Formatter().parse(template):
        if literal:
            pieces.append(literal)
        if name is not None:
            value = values[name]
            pieces.extend(value if isinstance(value, tuple) else (value,))
    return tuple(pieces)


def text_of(sentence: Sentence) -> str:
    """Return a sentence as plain text, errors included."""
    return "".join(_piece_text(piece) for piece in sentence)


def _piece_text(piece: Piece) -> str:
    if isinstance(piece, Shown):
        return f"{piece.text} {piece.error}".rstrip()
    return piece.label if isinstance(piece, Badge) else piece


def of_paths(shown: Shown) -> Sentence:
    """Return a share as part of a sentence: ``31.1% [29.2, 33.2] of paths`` or ``3 of 512 paths``."""
    if shown.form != "count" or shown.value is None:
        return (shown, " of paths")
    counted = replace(shown, error="")
    return (counted, " paths", f" ({shown.error})") if shown.error else (counted, " paths")


def plural(number: int, thing: str) -> str:
    """Return ``1 bar`` or ``2 bars``, the number in the page's form."""
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"


SMALL = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")


def spelled(number: int, thing: str) -> str:
    """Return ``Five strategies`` for a title."""
    many = thing if number == 1 else f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{SMALL[number] if number < len(SMALL) else number} {many}"


def visible(text: str) -> str:
    """Replace control, format and bidirectional characters by their code: U+202E can reverse a label."""
    return "".join(char if _is_plain(char) else f"⟨U+{ord(char):04X}⟩" for char in text)


def name(text: str, limit: int = NAME_LIMIT) -> str:
    """Return a user's name fit for a label: visible, one line, at most ``limit`` characters, never empty."""
    line = visible(text.replace("\n", " ").replace("\t", " ")).strip()
    if not line:
        return "(unnamed)"
    if len(line) <= limit:
        return line
    head = (limit - 1) // 2
    return f"{line[:head]}…{line[-(limit - 1 - head) :]}"


def _is_plain(char: str) -> bool:
    return char in PLAIN_CONTROLS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


LABELS: tuple[tuple[Label, str], ...] = (
    ("PASS", "looked for and not found"),
    ("WARN", "beyond a threshold, not beyond the limit"),
    ("FAIL", "beyond the limit, its whole interval"),
    ("INCONCLUSIVE", "too few paths, or the generator not shown to be calibrated"),
    ("UNTESTABLE", "the data cannot say"),
)

DEFINITIONS: tuple[tuple[str, str], ...] = (
    ("Total return", "equity at the end over equity at the start, minus 1; the start is the anchor, flat"),
    ("5% quantile", "the value below which 5% of the paths lie; interval from order statistics"),
    ("VaR 95%", "the loss that 95% of the paths stay within; a loss is positive, a negative figure is a gain"),
    ("CVaR 95%", "the mean loss of the worst 5% of the paths; interval from a bootstrap over paths"),
    ("Drawdown", "the deepest fall of equity from its own running peak, at closes"),
    ("Under water", "share of bars on which equity is below its running peak"),
    ("Brackets, ±", "95% Monte Carlo intervals: they shrink with more paths. A share has Wilson’s interval"),
    ("Range", "lowest and highest share over all scenarios and baselines; more paths do not narrow it"),
    ("0 of N", "no path was counted; the true share is below 3/N in 95% of such runs (rule of three)"),
)  # fmt: skip
