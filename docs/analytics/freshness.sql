-- How far behind the events is what you ask?
select projection, log, lag_events, lag_seconds, parked_events from analytics.meta_freshness order by projection, log;
