"""Published claims: what they say, which commands verify them, and what the records say about them.

Importing this package imports neither PyTorch nor Lightning.
"""

from hmseg.claims.commands import evaluate_command, run_folder, train_command
from hmseg.claims.events import append_event, read_events
from hmseg.claims.fit import about, why_not
from hmseg.claims.ledger import Row, as_csv, ledger, write_ledger
from hmseg.claims.protocol import Protocol, digest_of, protocol_of, training_episodes
from hmseg.claims.table import Claim, find_claim, published, read_claims
from hmseg.claims.verdict import STATUSES, TOLERANCE, Verdict, verdict

__all__ = [
    "STATUSES",
    "TOLERANCE",
    "Claim",
    "Protocol",
    "Row",
    "Verdict",
    "about",
    "append_event",
    "as_csv",
    "digest_of",
    "evaluate_command",
    "find_claim",
    "ledger",
    "protocol_of",
    "published",
    "read_claims",
    "read_events",
    "run_folder",
    "train_command",
    "training_episodes",
    "verdict",
    "why_not",
    "write_ledger",
]
