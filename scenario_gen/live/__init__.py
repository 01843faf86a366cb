"""Live forecasts: made from the latest bar, kept in a log, held against what came.

``step`` is the order of things; ``config`` what may be asked, ``log`` what is kept, ``judge`` what a log says, and
``results`` the form of it all. ``state`` says what of the market and of its bars one must know, ``watch`` whether a
strategy still does what was promised, ``promises`` what that was and what came of it, ``alerts`` who hears of a change.

A log needs no model to be judged, and nothing enters it twice: a step may be killed and made again at any time. Knows
nothing of jobs and of HTTP.
"""
