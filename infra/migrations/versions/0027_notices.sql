-- What came of every e-mail.

create table read_model.notices (
    notice_id       text primary key,
    template        text,
    cause           text,
    license_id      text,
    state           text check (state in ('sent', 'refused', 'failed')),
    outcome_slot    bigint,
    last_outcome_at timestamptz,
    sent_at         timestamptz,
    recipient       text,
    message_id      text,
    reply_code      integer,
    reply           text,
    reason          text,
    detail          text,
    run_id          text,
    attempt         integer,
    refusals        integer not null default 0,
    failures        integer not null default 0
);
comment on table read_model.notices is 'One row per notice of which anything has come.';
create index notices_by_last_outcome on read_model.notices (last_outcome_at desc);
create index notices_by_recipient on read_model.notices (recipient);
create index notices_by_license on read_model.notices (license_id) where license_id is not null;

insert into read_model.followed_logs (projection, log) values ('notices', 'licensing'), ('notices', 'tasks');

create view analytics.fct_notices as
select notice_id,
       template,
       cause,
       license_id,
       recipient,
       state,
       state = 'sent' as is_sent,
       sent_at,
       last_outcome_at,
       message_id,
       reply_code,
       reply,
       reason,
       detail,
       run_id,
       attempt,
       refusals as refusal_count,
       failures as failure_count
from read_model.notices;

comment on view analytics.fct_notices is
    'One row per notice (an e-mail, sent once for what brought it about) of which anything has come. Join dim_licenses on license_id, fct_task_runs on run_id, fct_task_attempts on run_id and attempt.';
comment on column analytics.fct_notices.notice_id is 'Follows from template and cause; the e-mail''s Message-ID begins with it, without hyphens.';
comment on column analytics.fct_notices.template is 'Which letter: license_expiring, license_expired, failure_alert, verification, password_reset, welcome.';
comment on column analytics.fct_notices.cause is 'What brought it about: the license and its notice, the alert''s stream, or what a service calls it.';
comment on column analytics.fct_notices.license_id is 'The license whose business it is; NULL where it is none''s.';
comment on column analytics.fct_notices.recipient is 'The address, personal data; NULL where it was not known any more.';
comment on column analytics.fct_notices.state is 'sent: the mail server took it, which is final; refused: it will not go out as it is; failed: the run that was to send it has ended without.';
comment on column analytics.fct_notices.is_sent is 'Whether the mail server took it.';
comment on column analytics.fct_notices.sent_at is 'When the attempt that sent it began; NULL where it was not sent.';
comment on column analytics.fct_notices.last_outcome_at is 'When what state says came about.';
comment on column analytics.fct_notices.message_id is 'The e-mail''s own Message-ID, for mail servers'' logs; NULL where it was not sent, or before notices were recorded.';
comment on column analytics.fct_notices.reply_code is 'What the mail server answered, three digits; NULL where it did not.';
comment on column analytics.fct_notices.reply is 'The text of its answer to an e-mail it took, at most 300 characters.';
comment on column analytics.fct_notices.reason is 'Why it was refused: address_invalid, server_refused, too_large, values_invalid, link_invalid, link_expired; of a failure, the class of the last error.';
comment on column analytics.fct_notices.detail is 'The same in words, at most 300 characters.';
comment on column analytics.fct_notices.run_id is 'The run that says so; NULL before notices were recorded.';
comment on column analytics.fct_notices.attempt is 'Which attempt of it, from 1.';
comment on column analytics.fct_notices.refusal_count is 'How many times it was refused.';
comment on column analytics.fct_notices.failure_count is 'How many runs failed to send it.';
