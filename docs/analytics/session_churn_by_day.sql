-- How many sessions started, ended and lapsed on each day (UTC)?
select day_start_at,
       count(*) filter (where what = 'started') as started,
       count(*) filter (where what = 'ended')   as ended,
       count(*) filter (where what = 'lapsed')  as lapsed
from (
    select date_bin('24 hours', started_at, 'epoch') as day_start_at, 'started' as what from analytics.fct_sessions
    union all
    select date_bin('24 hours', ended_at, 'epoch'), state from analytics.fct_sessions where state = 'ended'
    union all
    select date_bin('24 hours', lapsed_at, 'epoch'), 'lapsed' from analytics.fct_session_lapses
) changes
group by day_start_at
order by day_start_at;
