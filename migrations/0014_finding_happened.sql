-- Why: a finding about a session is about what happened. It does not end when the session leaves the
-- window that is judged, but when what is kept of it does.
alter table finding
    -- When the newest of the events happened on which it rests; null where it is about how things are.
    add column happened_at timestamptz;
