-- Why: a token outlives the person who made it and is replaced before it ends, so that it belongs to a service
-- account with an owner. People have roles: what one may do and see stands on the session, from the sign-in on, and
-- sessions that nobody uses end.

-- What programs act as.
create table service_account (
    account_id text not null default '000000000000',
    name text not null,
    -- Whom to ask about it.
    owner text not null,
    description text not null default '',
    created_at timestamptz not null,
    created_by text not null,
    disabled_at timestamptz,
    primary key (account_id, name)
);

-- The tokens that there are go on: each name becomes a service account.
insert into service_account (account_id, name, owner, created_at, created_by)
select account_id, name, 'operator', min(created_at), 'operator' from api_token group by account_id, name;

alter table api_token rename column name to service_account;
alter table api_token add column created_by text not null default 'operator';
-- The token that takes its place; both are valid until this one ends.
alter table api_token add column replaced_by text;
create index api_token_by_account on api_token (account_id, service_account);

alter table web_login add column person text not null default 'operator';
alter table web_login add column role text not null default 'admin';
alter table web_login add column limits text[];

alter table web_session add column role text not null default 'admin';
alter table web_session add column limits text[];
alter table web_session add column method text not null default 'link';
alter table web_session add column source_ip text;
alter table web_session add column user_agent text;
create index web_session_by_subject on web_session (account_id, subject);

-- Roles that an operator gave to people, beside those of the configuration.
create table role_grant (
    account_id text not null default '000000000000',
    person text not null,
    role text not null,
    limits text[],
    granted_by text not null,
    granted_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (account_id, person)
);
