-- Why: files tell of the day on which they were written, not of the day on which they are imported. What
-- is known of an account has a date, up to which ages are counted: "unused for 90 days" in a file of
-- June is a claim about June.
create table account_date (
    account_id text primary key,
    at timestamptz not null
);
