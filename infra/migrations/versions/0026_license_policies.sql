-- What a license agrees on beyond its term: holder, policy and entitlements; and every change of a license.

alter table read_model.licenses
    add column holder                     text,
    add column policy                     text,
    add column heartbeat_interval_seconds double precision,
    add column monitoring_starts          text,
    add column on_lapse                   text,
    add column resurrection               text,
    add column expiry                     text,
    add column overage                    text,
    add column entitlements               text;

-- What was issued until now is read as having these; a rebuild gives the same rows.
update read_model.licenses
set policy = 'default', heartbeat_interval_seconds = 60, monitoring_starts = 'creation', on_lapse = 'end',
    resurrection = '10_minutes', expiry = 'restrict', overage = 'none'
where issued_at is not null;

create table read_model.license_entitlements (
    license_id    text,
    entitlement   text,
    is_attached   boolean,
    attached_at   timestamptz,
    attached_by   text,
    attach_reason text,
    detached_at   timestamptz,
    detached_by   text,
    detach_reason text,
    primary key (license_id, entitlement)
);
comment on table read_model.license_entitlements is
    'One row per license and entitlement that it has or has had.';
create index license_entitlements_by_name on read_model.license_entitlements (entitlement) where is_attached;

create table read_model.license_changes (
    license_id  text,
    version     bigint,
    field       text,
    change      text        not null,
    changed_at  timestamptz not null,
    recorded_at timestamptz not null,
    before      text,
    after       text,
    actor       text,
    reason      text,
    event_id    text        not null,
    primary key (license_id, version, field)
);
comment on table read_model.license_changes is
    'One row per fact about a license and field that it changed.';
create index license_changes_latest on read_model.license_changes (license_id, field, version desc);
create index license_changes_by_time on read_model.license_changes (changed_at);

insert into read_model.followed_logs (projection, log) values
    ('license_entitlements', 'licensing'),
    ('license_changes', 'licensing');

create or replace view analytics.dim_licenses as
select license_id,
       state,
       state_reason,
       state_changed_at,
       state = 'active'          as is_active,
       holder_email is not null  as has_holder_email,
       seats,
       patience_seconds,
       issued_at,
       term_began_at,
       valid_until,
       renewals                  as renewal_count,
       next_due_at,
       notices_sent              as notice_count,
       last_notice_sent_at,
       holder,
       suspended_because is not null as is_suspended,
       state = 'active' or (state = 'expired' and expiry = 'maintain' and suspended_because is null)
                                 as is_admitting,
       policy,
       heartbeat_interval_seconds,
       monitoring_starts,
       on_lapse,
       resurrection,
       expiry,
       overage,
       entitlements
from read_model.licenses
where state is not null;

comment on column analytics.dim_licenses.state is
    'active, suspended, revoked or expired; a suspended one that expired is called expired. See is_admitting.';
comment on column analytics.dim_licenses.is_active is 'Whether it is neither suspended nor revoked nor expired.';
comment on column analytics.dim_licenses.holder is 'Whose it is, as services call them; empty where nobody has said.';
comment on column analytics.dim_licenses.is_suspended is
    'Whether it is suspended, expired or not: an expiry and a renewal do not lift a suspension.';
comment on column analytics.dim_licenses.is_admitting is
    'Whether it admits sessions and work, as far as is recorded: an active one does, and an expired one whose policy maintains access.';
comment on column analytics.dim_licenses.policy is 'What the rules are called under which it lives.';
comment on column analytics.dim_licenses.heartbeat_interval_seconds is 'How often its sessions are meant to send heartbeats.';
comment on column analytics.dim_licenses.monitoring_starts is
    'From when on a session''s silence counts: creation or first_heartbeat.';
comment on column analytics.dim_licenses.on_lapse is
    'What becomes of a session whose heartbeats stopped: end (at its last heartbeat) or keep (as lapsed, with its seat).';
comment on column analytics.dim_licenses.resurrection is
    'How long after its lapse a heartbeat resumes a session: never, 1_minute to 15_minutes, or always.';
comment on column analytics.dim_licenses.expiry is
    'What the end of the term means: restrict (nothing new), revoke (sessions and work end, too) or maintain (access goes on).';
comment on column analytics.dim_licenses.overage is
    'How far beyond its seats it may be used: none, 1.25x, 1.5x, 2x or always.';
comment on column analytics.dim_licenses.entitlements is 'The names of what it entitles to, in order, with commas between them, empty where there is nothing in particular; fct_license_entitlements has a row for each.';

create view analytics.fct_license_entitlements as
select license_id, entitlement, is_attached, attached_at, attached_by, attach_reason, detached_at, detached_by, detach_reason
from read_model.license_entitlements;

comment on view analytics.fct_license_entitlements is
    'One row per license and entitlement that it has or has had. Join dim_licenses on license_id; fct_license_changes has each time.';
comment on column analytics.fct_license_entitlements.license_id is 'The license.';
comment on column analytics.fct_license_entitlements.entitlement is 'What it entitles to, as services call it.';
comment on column analytics.fct_license_entitlements.is_attached is 'Whether it has it now.';
comment on column analytics.fct_license_entitlements.attached_at is 'When it was last attached.';
comment on column analytics.fct_license_entitlements.attached_by is 'Who attached it then.';
comment on column analytics.fct_license_entitlements.attach_reason is 'Why, where a reason was given.';
comment on column analytics.fct_license_entitlements.detached_at is 'When it was detached; empty while it is attached.';
comment on column analytics.fct_license_entitlements.detached_by is 'Who detached it.';
comment on column analytics.fct_license_entitlements.detach_reason is 'Why, where a reason was given.';

create view analytics.fct_license_changes as
select license_id,
       version,
       change,
       field,
       case when field = 'holder_email' then case when before is not null then 'an address' end else before end as before,
       case when field = 'holder_email' then case when after is not null then 'an address' end else after end   as after,
       changed_at,
       recorded_at,
       actor,
       reason,
       event_id
from read_model.license_changes;

comment on view analytics.fct_license_changes is
    'One row per fact about a license and field that it changed, with the value before and after. Join dim_licenses on license_id.';
comment on column analytics.fct_license_changes.license_id is 'The license.';
comment on column analytics.fct_license_changes.version is 'The fact''s place among those of the license, from 1; they are in this order.';
comment on column analytics.fct_license_changes.change is 'The fact''s stored name: license.issued, license.renewed, license.seats_changed and so on.';
comment on column analytics.fct_license_changes.field is
    'What changed: state, is_suspended, valid_until, holder, holder_email, seats, entitlement, or a field of the policy such as policy.expiry.';
comment on column analytics.fct_license_changes.before is
    'Its value before, as text; empty: there was none (no limit of seats, no holder, not attached). Addresses are not shown.';
comment on column analytics.fct_license_changes.after is 'Its value after, as text; empty: there is none.';
comment on column analytics.fct_license_changes.changed_at is 'When it changed, by whoever told; the end of a term by the calendar.';
comment on column analytics.fct_license_changes.recorded_at is 'When it was recorded.';
comment on column analytics.fct_license_changes.actor is
    'Who is answerable: as the message said, or its source; a task of the platform or the calendar for the end of a term.';
comment on column analytics.fct_license_changes.reason is 'Why, where a reason was given.';
comment on column analytics.fct_license_changes.event_id is 'The fact''s id in event_store.licensing_events.';
