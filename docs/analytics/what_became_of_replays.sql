-- How did the runs end that took the place of dead ones?
select r.replay_id, count(*) as replayed, count(n.run_id) as accepted, count(*) filter (where n.state = 'succeeded') as succeeded
from analytics.fct_replayed_runs r
left join analytics.fct_task_runs n on n.run_id = r.new_run_id
group by r.replay_id
order by r.replay_id;
