-- Which part of the sessions that ever lapsed came back at least once?
select count(*) as ever_lapsed, count(resumed_at) as came_back,
       round(count(resumed_at)::numeric / nullif(count(*), 0), 4) as came_back_share
from analytics.fct_sessions
where lapse_count > 0;
