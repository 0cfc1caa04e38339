"""PromQL expressions taken apart: which metrics they read, and over what they add up."""

import promql_parser


def find_metrics(expression):
    """Names of all metrics in a PromQL expression."""
    if isinstance(expression, str):
        expression = promql_parser.parse(expression)
    if isinstance(expression, promql_parser.VectorSelector):
        return {expression.name}
    parts = [getattr(expression, name, None) for name in ("lhs", "rhs", "expr", "vector_selector")]
    found = [find_metrics(part) for part in (*parts, *getattr(expression, "args", ())) if part is not None]
    return set().union(*found)


def find_unsummed(expression, versioned, summed=False):
    """Those of the `versioned` metrics, counted by model_version, that no aggregation adds up over it."""
    if isinstance(expression, str):
        expression = promql_parser.parse(expression)
    if isinstance(expression, promql_parser.VectorSelector):
        return set() if summed or expression.name not in versioned else {expression.name}
    if isinstance(expression, promql_parser.AggregateExpr):
        kept = expression.modifier
        by = kept is not None and kept.type == promql_parser.AggModifierType.By and "model_version" not in kept.labels
        summed = summed or kept is None or by
    parts = [getattr(expression, name, None) for name in ("lhs", "rhs", "expr", "vector_selector")]
    parts = [part for part in (*parts, *getattr(expression, "args", ())) if part is not None]
    return set().union(*(find_unsummed(part, versioned, summed) for part in parts))


def find_expressions(dashboard):
    """(panel title, expression) of every query of a dashboard, its variables filled in."""
    return [
        (panel["title"], target["expr"].replace("$server", ".*").replace("$__rate_interval", "1m"))
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]
