-- Signs of life of the platform's own processes, for `ledgerq status` and the health endpoints. Not facts: unlogged, so
-- that saying them costs no write-ahead log; emptied, it fills again within one interval.

create schema runtime;
comment on schema runtime is 'Which processes of the platform are there, as they say themselves; nothing here is history.';

create unlogged table runtime.processes (
    name       text        primary key,
    role       text        not null,
    started_at timestamptz not null,
    told_at    timestamptz not null,
    turned_at  timestamptz not null,
    ready      boolean     not null,
    session    integer     not null,
    state      jsonb       not null
) with (fillfactor = 50);
comment on table runtime.processes is 'One row per long-lived process of the platform; it takes its row away when it ends.';
comment on column runtime.processes.name is 'role@host:pid.';
comment on column runtime.processes.role is 'ingest, dispatch, projector, scheduler, worker-critical, worker-high …';
comment on column runtime.processes.told_at is 'When the process wrote this row last.';
comment on column runtime.processes.turned_at is 'When the loop that does its work had turned last.';
comment on column runtime.processes.ready is 'Whether it can do its work, as far as it knows.';
comment on column runtime.processes.session is 'Server process (pid of pg_stat_activity) of the session it writes on.';
comment on column runtime.processes.state is 'What it says of itself: children, tasks under way, whether it leads.';
