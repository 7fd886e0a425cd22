-- Where do licenses stand, and how often were they renewed?
select state, count(*) as licenses, sum(renewal_count) as renewals, sum(notice_count) as notices
from analytics.dim_licenses
group by state
order by state;
