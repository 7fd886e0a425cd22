-- Policies as a dimension of their own. A license holds its rules as a value and no key, so the key is made of them: the
-- same rules under the same name have the same one, in every license and at every time.

create function analytics.policy_key(
    policy text, heartbeat_interval_seconds double precision, patience_seconds double precision, monitoring_starts text,
    on_lapse text, resurrection text, expiry text, overage text
) returns text language sql immutable parallel safe as $$
    select md5(concat_ws('|', policy, heartbeat_interval_seconds, coalesce(patience_seconds::text, 'default'),
                         monitoring_starts, on_lapse, resurrection, expiry, overage))
$$;
comment on function analytics.policy_key(
    text, double precision, double precision, text, text, text, text, text
) is 'The key of a set of rules, made of the rules.';

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
       entitlements,
       analytics.policy_key(policy, heartbeat_interval_seconds, patience_seconds, monitoring_starts, on_lapse, resurrection,
                            expiry, overage) as policy_key
from read_model.licenses
where state is not null;
comment on view analytics.dim_licenses is
    'One row per license. How it stands now; fct_license_changes has how it came to. Join dim_policies on policy_key.';
comment on column analytics.dim_licenses.policy_key is 'The rules under which it lives.';

create view analytics.dim_policies as
select policy_key, policy, heartbeat_interval_seconds, patience_seconds, monitoring_starts, on_lapse, resurrection,
       expiry, overage, count(*) as license_count, count(*) filter (where is_admitting) as admitting_license_count
from analytics.dim_licenses
where policy is not null
group by policy_key, policy, heartbeat_interval_seconds, patience_seconds, monitoring_starts, on_lapse, resurrection,
         expiry, overage;
comment on view analytics.dim_policies is
    'One row per policy, a set of rules that some license lives under now; two sets of one name are two rows.';
comment on column analytics.dim_policies.policy_key is 'The key of this set of rules, made of the rules.';
comment on column analytics.dim_policies.policy is 'What people call these rules.';
comment on column analytics.dim_policies.heartbeat_interval_seconds is 'How often sessions are meant to send heartbeats.';
comment on column analytics.dim_policies.patience_seconds is 'Silence after which sessions lapse; empty where the platform''s default holds.';
comment on column analytics.dim_policies.monitoring_starts is 'From when on a session''s silence counts: creation or first_heartbeat.';
comment on column analytics.dim_policies.on_lapse is 'What becomes of a session whose heartbeats stopped: end (at its last heartbeat) or keep (as lapsed, with its seat).';
comment on column analytics.dim_policies.resurrection is 'How long after its lapse a heartbeat resumes a session: never, 1_minute to 15_minutes, or always.';
comment on column analytics.dim_policies.expiry is 'What the end of a term means: restrict (nothing new), revoke (sessions and work end, too) or maintain (access goes on).';
comment on column analytics.dim_policies.overage is 'How far beyond its seats a license may be used: none, 1.25x, 1.5x, 2x or always.';
comment on column analytics.dim_policies.license_count is 'Licenses that live under it.';
comment on column analytics.dim_policies.admitting_license_count is 'Those of them that admit sessions and work.';
