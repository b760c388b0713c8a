//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    AckByARunningFlush: "commit::batches_staged_ahead_are_all_waited_for" => "is not durable",
    EpochReadBeforeReserving: "commit::batches_staged_ahead_are_all_waited_for" => "is not durable",
    WritesBeforeFilled: "commit::four_committers_hand_over" => "staged bytes",
    LeadIsNotHandedOn: "commit::three_committers_hand_over" => "deadlock",
    LeadIsHandedToNobody: "writers::the_lead_passes_over_an_epoch_that_was_given_up" => "deadlock",
    WakeOfOneForgetsTheOthers: "commit::four_committers_hand_over" => "deadlock",
    GivesUpWithTheLead: "commit::a_waiter_that_gives_up_hands_the_lead_on" => "deadlock",
    TokenAfterTheCondition: "commit::two_committers_hand_over" => "deadlock",
    TickerDoesNotLookAgain: "commit::the_ticker_hears_of_batches_that_nobody_waits_for"
        => "exceeded max_steps",
    FailureIsNotTold: "room::those_who_wait_for_memory_are_told_of_a_failure" => "deadlock",
    OrderOutsideTheLock: "spool::appenders_that_do_not_agree_leave_one_order" => "OutcomeUnknown",
    RoomIsNotTold: "room::those_who_wait_for_memory_are_woken_after_the_flush" => "deadlock",
}
