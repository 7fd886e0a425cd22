-- Which sessions lapsed before midnight of 1 March 2026, as one could know by then?
select s.session_id, then_known.state, then_known.ended_at
from analytics.fct_sessions s
cross join lateral analytics.session_as_of(s.session_id, '2026-03-02 00:00Z', 'recorded') then_known
where then_known.state = 'lapsed'
order by s.session_id;
