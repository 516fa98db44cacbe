"""From lanes to verdicts: choosing and pairing lanes, statistics, estimands, rules, and their words."""
