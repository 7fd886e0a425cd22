-- A table and its draft in buckets, by a hash of the key: how many rows each has, and the buckets in which they differ.
with live as (
    select mod(hashtextextended({key}, 0), {buckets}) as bucket,
           count(*) as rows, bit_xor(hashtextextended({whole}, 0)) as hash
    from {live} t where {which} group by bucket
), draft as (
    select mod(hashtextextended({key}, 0), {buckets}) as bucket,
           count(*) as rows, bit_xor(hashtextextended({whole}, 0)) as hash
    from {draft} t where {which} group by bucket
)
select coalesce(sum(live.rows), 0)::bigint as live_rows,
       coalesce(sum(draft.rows), 0)::bigint as draft_rows,
       coalesce(array_agg(bucket) filter (
           where live.rows is distinct from draft.rows or live.hash is distinct from draft.hash
       ), '{{}}') as differing
from live full join draft using (bucket)
