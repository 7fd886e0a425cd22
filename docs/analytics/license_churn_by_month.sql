-- How many licenses were issued, renewed, expired and revoked in each month (UTC)?
select date_trunc('month', changed_at, 'UTC') as month_start_at,
       count(*) filter (where change = 'license.issued')  as issued,
       count(*) filter (where change = 'license.renewed') as renewed,
       count(*) filter (where change = 'license.expired') as expired,
       count(*) filter (where change = 'license.revoked') as revoked
from (select distinct license_id, version, change, changed_at from analytics.fct_license_changes) facts
group by month_start_at
order by month_start_at;
