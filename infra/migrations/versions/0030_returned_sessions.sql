-- Each page of heartbeats has to find out which of them broke a silence, that is how long ago the one before was. The
-- UPDATE that moves a session on knows it; what it leaves in this column tells, and no session is looked up twice.

alter table read_model.sessions add column returned_at timestamptz;
comment on column read_model.sessions.returned_at is
    'The latest heartbeat that was the first, or the first after a silence: the newest one in session_returns.';
update read_model.sessions s
set returned_at = (select max(r.heartbeat_at) from read_model.session_returns r where r.session_id = s.session_id)
where s.last_heartbeat_at is not null;
