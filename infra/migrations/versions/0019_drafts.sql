-- A draft is a second set of a projection's tables, named as in read_model. They are made when a rebuild begins, like
-- the live ones as they then are; a switch exchanges the rows that differ.

create schema read_model_draft;
comment on schema read_model_draft is
    'Read models that are being rebuilt, and what was live before the last switch. For ledgerq projection, not for people.';

create table read_model_draft.drafts (
    projection  text primary key,
    state       text        not null check (state in ('filling', 'replaced')),
    began_at    timestamptz not null default now(),
    changed_at  timestamptz not null default now(),
    changed_by  text        not null,
    reason      text,
    differences bigint
);
comment on table read_model_draft.drafts is 'One row per projection that has a draft.';
comment on column read_model_draft.drafts.state is
    'filling: it is (being) built from the log; replaced: it holds the rows that were live before the switch.';
comment on column read_model_draft.drafts.began_at is 'When it was begun.';
comment on column read_model_draft.drafts.changed_at is 'When it was begun, switched in or rolled back, the latest of them.';
comment on column read_model_draft.drafts.changed_by is 'Who did that.';
comment on column read_model_draft.drafts.reason is 'Why it was switched in although rows differed.';
comment on column read_model_draft.drafts.differences is 'How many rows the last switch or rollback changed.';

create table read_model_draft.parked_events (like read_model.parked_events including all);
comment on table read_model_draft.parked_events is 'What read_model.parked_events is for the live tables.';
