-- Why: what a rule could not decide was counted with sentences alone, as findings had them before migration
-- 0027. Each reason is an object now: its kind, its text, and what it is about. Sentences that are kept have no
-- more than their text until the next scan writes them anew.

update rule_tally
set reasons = (
    select jsonb_agg(jsonb_build_object('kind', 'other', 'text', reason.value) order by reason.ordinality)
    from jsonb_array_elements(reasons) with ordinality as reason
)
where jsonb_array_length(reasons) > 0;
