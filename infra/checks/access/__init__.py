"""Who may do what: every call that was seen, asked of the synthesized policies.

``python -m infra.checks.access FILE…`` adds the calls that a fleet recorded (`local.emulator.recorder`) to
``calls.jsonl``, the table of all that were ever seen. `tests/infra/test_access.py` asks each of them of the
policies of that role in every environment, and of each allowed action whether anybody was seen to use it.
The tests that record hold the table to what they saw, in both ways (`tests/support/seen_calls.py`).
"""
