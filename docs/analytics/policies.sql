-- Which rules do licenses live under, and how many sessions lapsed under them?
select p.policy, p.expiry, p.patience_seconds, p.license_count,
       (select count(*)
        from analytics.dim_licenses l
        join analytics.fct_sessions s using (license_id)
        where l.policy_key = p.policy_key and s.lapse_count > 0) as ever_lapsed_sessions
from analytics.dim_policies p
order by p.policy, p.expiry, p.patience_seconds nulls first;
