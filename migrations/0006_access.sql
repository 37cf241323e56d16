-- Why: bots come with tokens, people with a one-time code that becomes a session. Only hashes are
-- kept: who reads this database can enter nowhere.

create table api_token (
    account_id text not null default '000000000000',
    public_id text not null,
    name text not null,
    hash bytea not null,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    last_used_at timestamptz,
    revoked_at timestamptz,
    primary key (account_id, public_id)
);

create table web_login (
    account_id text not null default '000000000000',
    code_hash bytea not null,
    expires_at timestamptz not null,
    redeemed_at timestamptz,
    primary key (account_id, code_hash)
);

create table web_session (
    account_id text not null default '000000000000',
    id_hash bytea not null,
    -- Who it is, as the sign-in said.
    subject text not null,
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (account_id, id_hash)
);

-- Random keys that all replicas share, such as the one that signs page cursors. They protect
-- nothing that this database does not already hold.
create table shared_key (
    account_id text not null default '000000000000',
    name text not null,
    value bytea not null,
    primary key (account_id, name)
);
