-- What did services send that was not taken in?
select reason, message_type, source, count(*) as messages
from analytics.fct_ingest_dead_letters
group by reason, message_type, source
order by messages desc, reason;
