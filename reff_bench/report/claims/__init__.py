"""The outcomes that the paper states, each with a verdict."""

from reff_bench.report.claims.check import check_claims, join_claims
from reff_bench.report.claims.model import FAILS, HOLDS, OPEN, Claim, Finding, Quantity
from reff_bench.report.claims.write import claims_text, write_claims

__all__ = [
    "FAILS",
    "HOLDS",
    "OPEN",
    "Claim",
    "Finding",
    "Quantity",
    "check_claims",
    "claims_text",
    "join_claims",
    "write_claims",
]
