"""What the wire says was used, held against what others say: clients' own session logs, and invoices.

Theory of operation. Session logs give calls (:mod:`aitap.reconcile.session_logs`), the database gives calls
(:mod:`aitap.reconcile.recorded`); the two are paired by the ids of responses and requests, and what is left over, or
counted differently, is explained (:mod:`aitap.reconcile.matching`). An invoice gives only sums by day and model
(:mod:`aitap.reconcile.invoice`), which are held against the sums of days.
"""
