-- Why: who may read anything could read everything. What a token may see can be limited to OUs, accounts, clusters and
-- namespaces.

alter table api_token
    -- What it may see, each limit as text; null: everything.
    add column limits text[];
