-- Why: credentials that were taken from a pod show by where they are used. Each call's address is too
-- much to keep; a session calls from few networks, and by few programs.
create table trail_origin (
    account_id text not null,
    principal integer not null,
    region text not null,
    -- A public address, or a network; '' where the events name no address.
    network text not null,
    -- The VPC endpoint's id, or ''.
    endpoint text not null,
    -- The family of the user agent, or ''.
    agent text not null,
    -- Stands for all others: there are more than are kept.
    is_rest boolean not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    -- The action of the first call.
    action text not null,
    -- One address of the network.
    source text,
    primary key (account_id, principal, region, network, endpoint, agent, is_rest)
);
