-- Why: a webhook may be told by one letter, at the slots of a schedule, what happened since the last one. The slot that
-- was last gone through is kept with the position, so that of several processes one makes each letter.

alter table webhook add column digested_at timestamptz;
