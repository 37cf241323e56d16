-- Why: a finding that could not be decided said so in sentences alone, and nothing led from the sentence to
-- the incomplete listing, the open condition key or the missing statement that it was about. Each reason is
-- an object now: its kind, its text, and what it is about. Sentences that are kept have no more than their
-- text until the next scan writes them anew.

update finding
set stale_why = (
    select jsonb_agg(jsonb_build_object('kind', 'other', 'text', reason.value) order by reason.ordinality)
    from jsonb_array_elements(stale_why) with ordinality as reason
)
where jsonb_array_length(stale_why) > 0;

