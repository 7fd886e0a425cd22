-- How long after its last sign of life is a lapse found?
select percentile_cont(0.5) within group (order by seconds) as p50_seconds, max(seconds) as longest_seconds
from (
    select extract(epoch from judged_at - lapsed_at)::double precision as seconds
    from analytics.fct_session_lapses
) found;
