-- Which dead letters wait for somebody to decide, and what was decided about the others?
select reason, letter_state, count(*) as letters, count(new_run_id) as replayed
from analytics.fct_dead_letters
group by reason, letter_state
order by reason, letter_state;
