"""What ``hmseg.reproduce`` does: plan the steps of a claim, run them one by one, judge, keep the ledger."""
