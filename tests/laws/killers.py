"""Which mutant each law kills, and which laws have killed none so far."""

KILLERS = {
    1: "off_by_one",
    2: "off_by_one",
    3: "retry_after_told",
    4: "hint_ignored",
    6: "error_after_a_complete_reply",
    7: "backoff_not_capped",
    8: "first_error_wins",
    9: "first_visits_charged",
    11: "budget_not_charged",
    16: "opens_at_the_deadline",
    17: "limit_shields_from_the_outer_scope",
    18: "limit_blamed_for_the_outer_scope",
    19: "limit_blamed_for_the_outer_scope",
    20: "the_clock_leaks_in",
    23: "fallback_whatever_the_error",
    24: "wait_before_fallback",
    25: "patches_compound",
    26: "end_of_file_taken_for_success",
    27: "first_visits_charged",
    28: "all_who_run_are_told",
    29: "a_loser_is_not_awaited",
    30: "a_hedge_ends_the_first",
    31: "one_hedge_too_many",
    32: "a_hedge_ends_the_first",
    33: "the_error_of_a_loser_is_raised",
    34: "a_hedge_on_the_same_target",
    35: "a_hedge_ends_the_first",
    37: "an_open_circuit_lets_calls_through",
    39: "open_circuits_close_by_themselves",
    40: "open_circuits_close_by_themselves",
    44: "a_refusal_takes_time",
    46: "starts_are_free",
    52: "settled_twice",
    53: "a_drop_raises_the_limit",
    54: "one_place_too_many",
    55: "a_cancelled_call_keeps_its_place",
    57: "last_come_first_served",
    58: "the_ledger_tells_another_target",
    59: "who_has_failed_is_asked_again",
    61: "a_target_that_goes_takes_its_calls_along",
    63: "late_ones_are_told_from_now_on",
    64: "the_end_is_not_waited_for",
    65: "joins_a_flight_that_has_ended",
    70: "one_error_for_all",
    71: "a_slow_waiter_slows_the_others",
    77: "gate_forgets_the_order",
    81: "limit_shields_from_the_outer_scope",
    82: "end_of_file_taken_for_success",
    83: "a_long_chain_loses_a_layer",
    84: "who_listens_gets_no_retry",
    85: "the_end_is_not_waited_for",
    87: "one_place_too_many",
    88: "cancelled_attempt_not_recorded",
    89: "an_instrument_that_fails_ends_the_call",
    98: "cause_lost_between_the_tasks",
    99: "end_of_file_taken_for_success",
    100: "attempts_forgotten",
    101: "one_place_too_many",
    102: "a_long_chain_loses_a_layer",
    104: "scope_made_inside_the_task",
    105: "listener_blamed_on_the_provider",
    106: "a_hedge_for_one_that_queues",
    107: "buffer_tells_early",
    110: "told_before_it_is_accepted",
    111: "the_rejected_answer_is_lost",
    113: "not_rewritten_in_errors",
}

UNPROVEN = {
    5: "no mutant is known that it kills",
    10: "no mutant is known that it kills",
    13: "no mutant is known that it kills",
    21: "no mutant is known that it kills",
    22: "no mutant is known that it kills",
    38: "no mutant is known that it kills",
    41: "no mutant is known that it kills",
    42: "no mutant is known that it kills",
    43: "no mutant is known that it kills",
    49: "no mutant is known that it kills",
    50: "its mutant is met too rarely to be named",
    51: "no mutant is known that it kills",
    56: "no mutant is known that it kills",
    60: "its mutant is met too rarely to be named",
    78: "no mutant is known that it kills",
    79: "no mutant is known that it kills",
    80: "no mutant is known that it kills",
    112: "its mutant is met too rarely to be named",
}

CORRECTED = """
- **L80** (nothing is read while the listener is busy) speaks of one attempt: of several that go on
  side by side the others are read on, up to their first content.
- **L105** and **L16** (nothing is opened once a listener has failed): an attempt that was decided
  on beside the one that was heard may begin in the instant in which that one unwinds, and is
  cancelled at once. Found with `Hedge(0.0, cancel_after=2)` and a listener that raises over its
  second delta.
- **L16**, **L17**, **L19**: the limits of an attempt count from its sending where it has waited for
  a place or for its turn before. Found with `[Retry(1), Timeout(total=0.125), RateLimit(…)]`.
- **L4** binds attempts that are decided on after the hint has come: one that was started beside the
  other had been under way.
- **L8**: the last attempt on the first target is the last that was started, not the last to end.
"""
