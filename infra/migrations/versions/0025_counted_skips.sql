-- What a skip came too late for: which tables have counted an event that is skipped since.

create table read_model_draft.counted_skips (
    follower   text   not null,
    log        text   not null,
    position   bigint not null,
    event_name text   not null,
    primary key (follower, log, position)
);
comment on table read_model_draft.counted_skips is
    'One row per skipped event and set of tables (live or draft) that had counted it by then and does until it is rebuilt.';
comment on column read_model_draft.counted_skips.follower is 'Whose checkpoint the tables go by.';
comment on column read_model_draft.counted_skips.log is 'The log the event is in.';
comment on column read_model_draft.counted_skips.position is 'Its position there.';
comment on column read_model_draft.counted_skips.event_name is 'Its stored name.';
