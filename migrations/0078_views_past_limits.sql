-- Why: saved views are of people, and are read and written by statements that name their person. Whoever has limits needs
-- no right of their own to the table, which version 0069 gave.

do $$
begin
    if exists (select from pg_roles where rolname = 'rolecall_limited') then
        revoke all on saved_view from rolecall_limited;
    end if;
end $$;
