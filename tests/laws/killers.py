"""Which mutant each law kills, and which laws have killed none so far."""

KILLERS = {
    1: "off_by_one",
    2: "off_by_one",
    3: "retry_after_told",
    4: "hint_ignored",
    5: "sleep_past_the_deadline",
    6: "error_after_a_complete_reply",
    7: "backoff_not_capped",
    8: "first_error_wins",
    9: "first_visits_charged",
    10: "a_budget_without_a_cap",
    11: "budget_not_charged",
    13: "a_first_attempt_waits_for_the_budget",
    16: "opens_at_the_deadline",
    17: "limit_shields_from_the_outer_scope",
    18: "limit_blamed_for_the_outer_scope",
    19: "limit_blamed_for_the_outer_scope",
    20: "the_clock_leaks_in",
    21: "the_time_of_the_consumer_is_the_streams",
    22: "targets_in_another_order",
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
    38: "any_number_of_probes",
    39: "open_circuits_close_by_themselves",
    40: "open_circuits_close_by_themselves",
    41: "a_cancelled_probe_keeps_its_place",
    42: "a_call_of_before_the_change_counts",
    43: "opens_after_too_few_calls",
    44: "a_refusal_takes_time",
    46: "starts_are_free",
    49: "the_last_goes_first",
    50: "a_hint_is_forgotten",
    51: "shed_without_need",
    52: "settled_twice",
    53: "a_drop_raises_the_limit",
    54: "one_place_too_many",
    55: "a_cancelled_call_keeps_its_place",
    56: "what_was_cancelled_lowers_the_limit",
    57: "last_come_first_served",
    58: "the_ledger_tells_another_target",
    59: "who_has_failed_is_asked_again",
    60: "what_was_cut_short_lowers_the_estimate",
    61: "a_target_that_goes_takes_its_calls_along",
    62: "a_partial_answer_is_kept",
    63: "late_ones_are_told_from_now_on",
    64: "the_end_is_not_waited_for",
    65: "joins_a_flight_that_has_ended",
    67: "a_hit_asks_all_the_same",
    68: "every_stale_hit_asks_anew",
    69: "nothing_is_too_old",
    70: "one_error_for_all",
    71: "a_slow_waiter_slows_the_others",
    77: "gate_forgets_the_order",
    78: "what_is_held_is_told_in_passing",
    79: "what_is_held_is_told_all_at_once",
    80: "a_loser_is_not_cancelled",
    81: "limit_shields_from_the_outer_scope",
    82: "end_of_file_taken_for_success",
    83: "tokens_are_counted_twice",
    84: "who_listens_gets_no_retry",
    85: "the_end_is_not_waited_for",
    87: "one_place_too_many",
    88: "cancelled_attempt_not_recorded",
    89: "an_instrument_that_fails_ends_the_call",
    93: "white_space_is_told_twice",
    94: "goes_on_after_a_piece_of_a_call",
    95: "goes_on_again_and_again",
    96: "nothing_is_held_back",
    97: "the_text_so_far_is_not_sent",
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
    112: "a_failing_check_rejects",
    113: "not_rewritten_in_errors",
    114: "who_can_not_serve_is_asked",
    115: "tenants_are_one",
    116: "each_asks_for_itself",
    117: "nothing_is_kept",
}

UNPROVEN: dict[int, str] = {}

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
  other had been under way, or may begin in the instant in which the hint comes.
- **L28**: several attempts of one race may share a flight, and then are told the same.
- **L112** (no attempt follows a check that failed): what goes on beside it may come one step
  further in that instant, before it hears of it. Found with `Hedge(0.0)` over a `Guard` and
  `Concurrency(1)`.
- **L5**: a wait may also be cut by a check that has failed beside it, or in a flight since one of
  those who wait for it has left and the others have less time.
- **L1**: attempts that are not sent are bounded by the policies themselves, not by `max_attempts`.
- **L113** was broken by `Coalesce` over a `Hedge` that keeps the losers: the error's partial answer
  was that of the attempt that failed last, not what the caller had been told.
- **L3**, **L9**: what was told through an engine counts, even where one outside holds it back
  (`hold_back`) and the caller has not heard it. Found with
  `[Attempts(Retry(3), Fallback(…), Hedge(…), hold_back=1), Retry(2), Timeout(first_token=…)]`.
- **L26**, **L77** (a reply is that of one attempt, and names its target) speak of answers that were
  not continued; one that was names the target of its beginning, as what was told does.
- **L96** speaks of attempts that share no flight: of two that do, both are told the same.
- **L107** (a cut that nobody heard is like a host that is busy) does not speak of an adaptive limit
  inside, to which the two are different things.
- **L3**, and all that speaks of attempts: of one flight in another (`[Coalesce(), Cache(), …]`) the
  inner one may begin another attempt in the instant in which the outer one ends.
- **L8**: the last attempt on the first target is the last that was started, not the last to end.
"""
